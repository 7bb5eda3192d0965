"""What many tests need: a real mongod or a set of three, a live server on it, a client of the mock.

What is there for the whole session is made once by each process of pytest-xdist, for its own tests.
"""

import gc
import os
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from mongomock_motor import AsyncMongoMockClient
from pymongo import MongoClient

from app.application import create_app
from app.servers.embedded import EmbeddedDatabase
from app.servers.replica_set import MEMBERS, ReplicaSet
from app.settings import Settings
from tests.support.distribution import Distribution, is_on_the_set
from tests.support.mongod import require_mongod
from tests.support.patience import be_patient, choose_settings
from tests.support.ports import free_ports
from tests.support.server import LiveServer
from tests.support.waiting import wait_for

DATABASE = "test"
# The same examples in each run, and a busy machine is no fault; slow tests draw others each time.
settings.register_profile(
    "ours",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    max_examples=50,
)
settings.load_profile("ours")
# httpx would read all the certificates of a file for each client: 25 ms, and no test needs them.
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)
# A machine that stands still for some seconds is no fault either.
choose_settings()
be_patient()

SLOWEST = ("replica_set", "serving", "servers", "commands")  # folders whose tests wait for servers


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """No garbage is sought in what is imported and collected: it is much, and there is none."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts first what waits longest, so that all processes are done at about the same time."""
    items.sort(key=lambda item: item.path.parent.name not in SLOWEST)
    items.sort(key=lambda item: not is_on_the_set(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Distribution | None:
    """Ours in place of `--dist loadfile`."""
    return Distribution(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def mongo_uri() -> Iterator[str]:
    """The URI of a real mongod, which runs for the whole session."""
    require_mongod()
    with (
        tempfile.TemporaryDirectory(prefix="docsheet-") as folder,
        EmbeddedDatabase.open(Path(folder), 256, 1800) as embedded,
    ):
        yield embedded.uri


@pytest.fixture(scope="session")
def database(mongo_uri: str) -> Iterator[Any]:
    """PyMongo's database that the live server uses."""
    with MongoClient[dict[str, Any]](
        mongo_uri, tz_aware=True, uuidRepresentation="standard"
    ) as client:
        yield client[DATABASE]


@pytest.fixture(scope="session")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    """Three real mongods, in whatever state the last test left them; most want `members`."""
    require_mongod()
    folder = tmp_path_factory.mktemp("set") / "rs"
    (first, *_) = free_ports(MEMBERS)
    with ReplicaSet.start(folder, base_port=first) as started:
        yield started


@pytest.fixture
def members(replica_set: ReplicaSet) -> ReplicaSet:
    """The set with all its members there, whatever the test before did to it."""
    replica_set.start_members()
    replica_set.wait_until_whole()
    return replica_set


@pytest.fixture(scope="session")
def server(mongo_uri: str) -> Iterator[LiveServer]:
    """A live server on the real mongod, with the default settings but for its patience."""
    with LiveServer(MONGO_URI=mongo_uri, DB_NAME=DATABASE) as live:
        wait_for(lambda: httpx.get(f"{live.address}/readyz", timeout=60).is_success)
        yield live


@pytest.fixture
def users(database: Any) -> Any:
    """The collection `users` of the live server's database, empty."""
    database["users"].delete_many({})
    return database["users"]


@pytest.fixture
def http(server: LiveServer, users: Any) -> Iterator[httpx.Client]:
    """An HTTP client of the live server, whose users are none."""
    with httpx.Client(base_url=server.address, timeout=60) as client:
        yield client


@pytest.fixture
async def mock_http() -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the application on a mongomock, in this process.

    Fast, and empty at the start.
    """
    app = create_app(Settings(DB_NAME=DATABASE, _env_file=None), AsyncMongoMockClient())  # type: ignore[call-arg]
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield client
