"""The description of the API: valid, whole, and good for a generated client and for a fuzzer."""

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bson
import httpx
import jsonschema_rs
import openapi_spec_validator
import pytest
from mongomock_motor import AsyncMongoMockClient

from app.application import create_app
from app.query.parameters import PARAMETERS, parameters_of
from app.settings import Settings
from app.spreadsheets.formats import FORMATS
from tests.support.fuzzing import fuzz
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer

pytestmark = needs_mongod
BIN = Path(sys.executable).parent
PACKAGES = ("models", "tests.support.every_type", "tests.query.samples")
PROBLEMS = ("ProblemDetails", "AffectedProblem", "ImportProblem")  # schemas


@pytest.fixture(scope="module")
def described(server: LiveServer) -> Any:
    return httpx.get(f"{server.address}/openapi.json").json()


def operations(described: Any) -> Iterator[tuple[str, str, Any]]:
    for path, item in described["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def resolved(described: Any, schema: Any) -> Any:
    while "$ref" in schema:
        found = described
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        schema = found
    return schema


def test_what_is_never_shown_can_be_sent(described: Any) -> None:
    schemas = described["components"]["schemas"]
    sent = schemas["Student"]["properties"]
    assert list(sent) == ["_id", "sno", "name", "pwd", "clas", "courses"]
    assert sent["pwd"]["writeOnly"]
    assert "pwd" in schemas["StudentPatch"]["properties"]
    assert "pwd" not in schemas["StudentStored"]["properties"]


def test_it_names_every_route(described: Any) -> None:
    assert described["openapi"].startswith("3.1.")
    assert (described["servers"], described["security"]) == ([{"url": "/"}], [])
    paths = {(method, path) for method, path, _ in operations(described)}
    assert paths >= {
        ("get", "/users/"), ("post", "/users/"), ("get", "/users/{_id}"), ("put", "/users/{_id}"),
        ("patch", "/users/{_id}"), ("delete", "/users/{_id}"), ("get", "/exports/{id}"),
        ("get", "/livez"),
        ("get", "/readyz"), ("get", "/"),
        *(("get", f"/users/export/{word}") for word in ("csv", "xlsx", "excel", "ndjson", "json")),
    }  # fmt: skip
    assert not any(path == "/users" for _, path in paths)


def test_everything_is_described(described: Any) -> None:
    seen = set()
    for method, path, operation in operations(described):
        where = f"{method} {path}"
        assert operation["operationId"] not in seen
        seen.add(operation["operationId"])
        assert operation["summary"]
        for parameter in operation["parameters"]:
            assert parameter["description"], (where, parameter["name"])
            jsonschema_rs.validator_for(parameter["schema"])
        for media in operation.get("requestBody", {}).get("content", {}).values():
            schema = media["schema"]
            is_file = path.endswith("/import")
            for one in schema.get("oneOf", [schema])[:1]:
                assert is_file or resolved(described, one)["type"] == "object"
        for status, answer in operation["responses"].items():
            assert answer["description"], (where, status)
            assert "X-Request-ID" in answer["headers"]
            assert all(
                "description" in resolved(described, header)
                for header in answer["headers"].values()
            )
            if int(status) >= 400:
                schema = answer["content"]["application/problem+json"]["schema"]
                name = schema["$ref"].removeprefix("#/components/schemas/")
                assert name in PROBLEMS
            assert ("Retry-After" in answer["headers"]) == (status == "503")
            assert ("Allow" in answer["headers"]) == (status == "405")
    imported = described["paths"]["/users/import"]["post"]["responses"]
    for status, report in (("200", "application/json"), ("422", "application/problem+json")):
        assert {report, "text/csv"} < imported[status]["content"].keys()
        assert "Content-Disposition" in imported[status]["headers"]


def test_filters_are_typed(described: Any) -> None:
    schemas = {
        one["name"]: one["schema"] for one in described["paths"]["/users/"]["get"]["parameters"]
    }
    assert schemas["age__gte"]["type"] == "integer"
    assert schemas["name__contains"] == {"type": "string", "maxLength": 10_000}
    assert schemas["age__in"] == {"type": "array", "items": schemas["age"]}
    assert schemas["profile.addresses.city__nin"] == {"type": "array", "items": {"type": "string"}}
    assert schemas["profile__exists"] == {"type": "boolean"}
    counts = {"type": "string", "enum": ["auto", "exact", "none"], "default": "auto"}
    assert schemas["count"] == counts
    assert "default" not in schemas["skip"]  # a client would send it, also together with `after`
    assert "age__contains" not in schemas


def parameters(described: Any, path: str, method: str = "get") -> list[str]:
    """The names of an operation's parameters, filters left out."""
    known = {parameter.name for parameter in PARAMETERS}
    listed = described["paths"][path][method]["parameters"]
    return [one["name"] for one in listed if one["in"] != "query" or one["name"] in known]


def test_each_request_has_the_parameters_that_it_takes(described: Any) -> None:
    assert parameters(described, "/users/") == list(parameters_of("list"))
    for word, found in FORMATS.items():
        names = parameters(described, f"/users/export/{word}")
        assert names == list(parameters_of("export", found.takes))
    conditional = ["_id", "If-Match", "If-None-Match"]
    read = [*conditional, *parameters_of("read")]
    assert parameters(described, "/users/{_id}", "get") == read
    for method in ("put", "patch", "delete"):
        assert parameters(described, "/users/{_id}", method) == conditional
        assert "412" in described["paths"]["/users/{_id}"][method]["responses"]
    assert "304" in described["paths"]["/users/{_id}"]["get"]["responses"]


def test_every_route_describes_itself() -> None:
    settings = Settings(MODELS="tests.support.every_type", _env_file=None)  # type: ignore[call-arg]
    app = create_app(settings, AsyncMongoMockClient())
    described = {route.path for route in app.paths.routes if route.descriptions}
    silent = {route.path for route in app.paths.routes} - described
    pages = {
        path for path in silent if path.startswith(("/docs", "/redoc", "/openapi.json", "/ui"))
    }
    # The others are twins: `/users` beside `/users/`, `…/books.author` beside `…/books`.
    for path in silent - pages:
        plain = re.sub(r"(/{key}/\w+)\.[\w.]+", r"\1", path)
        assert described & {f"{path}/", path.rstrip("/"), plain, plain.rstrip("/")}


@pytest.mark.filterwarnings("ignore:Field name")  # `Counted` has the names of parameters
@pytest.mark.parametrize("package", PACKAGES)
async def test_it_is_valid_and_a_client_is_made_without_a_warning(
    tmp_path: Path, package: str
) -> None:
    app = create_app(Settings(MODELS=package, _env_file=None), AsyncMongoMockClient())  # type: ignore[call-arg]
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/openapi.json")
    assert answer.headers["Content-Type"] == "application/json"
    described = answer.json()
    sent = described["components"]["schemas"].get("Thing", {}).get("properties", {})
    kinds = [one["type"] for one in sent.get("span", {}).get("anyOf", ())]
    assert kinds == (["string", "number", "null"] if package == PACKAGES[1] else [])
    drop_repeated_parameters(described)
    openapi_spec_validator.validate(described)
    shown = generate(tmp_path, "generated", json.dumps(described), "post_hooks: []")
    assert "WARNING" not in shown.upper().replace("WARNING(S)", "WARNING"), shown


def drop_repeated_parameters(described: Any) -> None:
    """Leaves each filter in the first operation that has it; a thousand times is for no reader.

    An operation's parameters must differ, in any case.
    """
    seen = set()
    for method, path, operation in operations(described):
        names = [(parameter["in"], parameter["name"]) for parameter in operation["parameters"]]
        assert len(names) == len(set(names)), f"{method} {path}"
        left = []
        for parameter in operation["parameters"]:
            text = json.dumps(parameter)
            if parameter["in"] == "path" or text not in seen:
                left.append(parameter)
            seen.add(text)
        operation["parameters"] = left


def generate(folder: Path, name: str, description: str, config: str = "{}") -> str:
    """Makes the client `name` of a description in the folder; what the generator said."""
    (folder / "openapi.json").write_text(description)
    (folder / "config.yml").write_text(config)
    command = [
        BIN / "openapi-python-client",
        "generate",
        *("--path", folder / "openapi.json"),
        *("--config", folder / "config.yml"),
        *("--meta", "none"),
        *("--output-path", folder / name),
    ]
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_generated_client_works(
    http: httpx.Client,
    users: Any,
    server: LiveServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = generate(tmp_path, "docsheet_client", http.get("/openapi.json").text)
    assert "WARNING" not in shown.upper().replace("WARNING(S)", "WARNING"), shown
    monkeypatch.syspath_prepend(tmp_path)

    def api(name: str) -> Any:
        return importlib.import_module(f"docsheet_client.{name}")

    models = api("models")
    with api("client").Client(base_url=server.address) as client:
        created = []
        for n, city in enumerate(("北京", "Berlin", "Paris")):
            address = models.Address(city=city)
            body = models.User(
                name=f"n{n}",
                email=f"{n}@x.org",
                profile=models.Profile(age=20 + n, addresses=[address]),
            )
            answer = api("api.users.create_users").sync_detailed(client=client, body=body)
            assert answer.status_code == 201
            created.append(answer.parsed)
        listed = api("api.users.list_users").sync(client=client, profile_addresses_city="北京")
        assert [user.to_dict() for user in listed] == [created[0].to_dict()]
        listed = api("api.users.list_users").sync(
            client=client, profile_age_gte=21, sort="-profile.age", limit=1
        )
        assert [user.name for user in listed] == ["n2"]
        listed = api("api.users.list_users").sync(
            client=client, profile_age_in=[20, 22], email_contains="X.ORG"
        )
        assert [user.name for user in listed] == ["n0", "n2"]
        key = created[1].field_id
        assert isinstance(key, str)
        read = api("api.users.read_users").sync_detailed(key, client=client)
        assert read.parsed.to_dict() == created[1].to_dict()
        unchanged = api("api.users.read_users").sync_detailed(
            key, client=client, if_none_match=read.headers["ETag"]
        )
        assert unchanged.status_code == 304
        patch = models.UserPatch(profile={"age": None, "bio": "b"})
        patched = api("api.users.patch_users").sync(
            key, client=client, body=patch, if_match=read.headers["ETag"]
        )
        assert patched.profile == {"bio": "b", "addresses": created[1].profile["addresses"]}
        refused = api("api.users.patch_users").sync(
            key, client=client, body=patch, if_match='"other"'
        )
        assert (type(refused).__name__, refused.status) == ("ProblemDetails", 412)
        text = api("api.users.export_csv_users").sync(
            client=client, columns="name,profile.age", profile_age_gte=21
        )
        assert text.splitlines() == ["name,profile.age", "n2,22"]
        assert api("api.users.export_xlsx_users").sync(client=client).payload.read(2) == b"PK"
        assert (
            api("api.users.export_ndjson_users").sync(client=client).payload.read().count(b"\n")
            == 3
        )
        assert len(api("api.users.export_json_users").sync(client=client)) == 3
        assert api("api.users.delete_users").sync_detailed(key, client=client).status_code == 204
        missing = api("api.users.read_users").sync(str(bson.ObjectId()), client=client)
        assert missing.status == 404
        assert api("api.server.ready").sync(client=client).to_dict() == {"status": "ok"}


@pytest.mark.slow
def test_a_fuzzer_finds_no_server_error_and_nothing_undocumented(
    http: httpx.Client, server: LiveServer, tmp_path: Path
) -> None:
    for n in range(3):
        http.post(
            "/users/", json={"name": f"n{n}", "email": f"{n}@x.org", "age": n}
        ).raise_for_status()
    fuzz(server, tmp_path)
