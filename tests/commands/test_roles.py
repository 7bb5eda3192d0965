"""`docsheet roles|keys|shares`: the same rules as over HTTP, at a terminal."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import Result
from pymongo import MongoClient
from typer.testing import CliRunner

from app.__main__ import cli
from app.application import create_app
from app.settings import Settings

Run = Callable[..., Result]
pytestmark = pytest.mark.mongod
RULES = {"users": {"read": {"where": "name={account.name}"}, "export": True}}


@pytest.fixture
def stored(mongo_uri: str) -> Iterator[Any]:
    """The database of the commands, with the accounts `anna` and `bert`."""
    with MongoClient[dict[str, Any]](mongo_uri, tz_aware=True) as client:
        client.drop_database("test_commands")
        database = client["test_commands"]
        accounts = [{"name": "anna", "role": "admin"}, {"name": "bert", "role": "viewer"}]
        database["docsheet.accounts"].insert_many(accounts)
        yield database
        client.drop_database("test_commands")


@pytest.fixture
def run(mongo_uri: str, stored: Any) -> Run:
    """The command line in this process."""
    environment = {"MONGO_URI": mongo_uri, "DB_NAME": stored.name}

    def run_(*words: str, given: str = "") -> Result:
        return CliRunner().invoke(cli, words, input=given, env=environment)

    return run_


async def get(mongo_uri: str, path: str, **headers: str) -> httpx.Response:
    """The answer of a server on the same database."""
    app = create_app(
        Settings(AUTH="on", MONGO_URI=mongo_uri, DB_NAME="test_commands", _env_file=None)  # type: ignore[call-arg]
    )
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        return await client.get(path, headers=headers)


def test_a_role_is_stored_shown_and_deleted(run: Run, stored: Any, tmp_path: Path) -> None:
    file = tmp_path / "self.json"
    file.write_text(json.dumps(RULES))
    assert run("roles", "set", "self", str(file)).stdout == "The role 'self' is stored.\n"
    shown = run("roles", "show", "SELF").stdout
    assert json.loads(shown) == RULES
    more = {"name": "self", "rules": {**RULES, "*": {"read": True}}}  # as the API shows it
    assert run("roles", "set", "Self", "-", given=json.dumps(more)).exit_code == 0
    (role,) = stored["docsheet.roles"].find()
    assert (role["name"], role["rules"]) == ("self", more["rules"])
    assert run("accounts", "role", "bert", "self").exit_code == 0
    lines = [line.split() for line in run("roles", "list").stdout.splitlines()]
    assert lines == [["name", "accounts", "closed"], ["self", "1", "0"]]
    refused = run("roles", "delete", "self")
    assert refused.exit_code == 1
    assert "1 account has this role" in refused.stderr
    assert run("accounts", "role", "bert", "viewer").exit_code == 0
    assert run("roles", "delete", "self").exit_code == 0
    assert stored["docsheet.roles"].count_documents({}) == 0
    done = [
        one["what"] for one in stored["docsheet.audit"].find({"target": re.compile("(?i)self")})
    ]
    assert done == ["role made", "role changed", "role deleted"]


@pytest.mark.parametrize(
    ("name", "text", "detail"),
    [
        ("self", "{", "is not JSON"),
        ("self", '{"userz": {}}', "There is no resource 'userz'. Did you mean 'users'?"),
        ("self", '{"users": {"read": {"where": "nmae=x"}}}', "Did you mean 'name'?"),
        ("self", '{"users": {"read": {"where": "keyword=("}}}', "MongoDB refuses this regular"),
        ("admin", "{}", "are always there"),
        ("a:b", "{}", "a name has no colon"),
    ],
)
def test_a_role_that_can_not_be_is_refused(
    run: Run, stored: Any, name: str, text: str, detail: str
) -> None:
    done = run("roles", "set", name, "-", given=text)
    assert done.exit_code == 1
    assert detail in done.stderr
    assert stored["docsheet.roles"].count_documents({}) == 0


def test_a_role_that_is_always_there_is_shown_and_not_deleted(run: Run) -> None:
    assert json.loads(run("roles", "show", "Viewer").stdout) == {
        "*": {"read": True, "export": True}
    }
    refused = run("roles", "delete", "viewer")
    assert (refused.exit_code, "is always there" in refused.stderr) == (1, True)


async def test_a_key_is_made_listed_and_ended(run: Run, stored: Any, mongo_uri: str) -> None:
    made = run("keys", "add", "BERT", "--name", "for Excel", "--scope", "users:read", "--days", "9")
    assert made.exit_code == 0
    identifier, secret = made.stdout.split()
    bearer = {"Authorization": f"Bearer {identifier}.{secret}"}
    assert (await get(mongo_uri, "/users/", **bearer)).status_code == 200
    assert (await get(mongo_uri, "/students/", **bearer)).status_code == 403
    listed = run("keys", "list", "--account", "bert").stdout
    assert identifier in listed
    assert "users:read" in listed
    assert secret not in listed + str(list(stored["docsheet.keys"].find()))
    assert identifier not in run("keys", "list", "--account", "anna").stdout
    assert run("keys", "delete", identifier).exit_code == 0
    assert (await get(mongo_uri, "/users/", **bearer)).status_code == 401
    assert run("keys", "delete", identifier).exit_code == 1
    assert run("keys", "add", "nobody", "--name", "x").exit_code == 1
    beyond = run("keys", "add", "bert", "--name", "x", "--scope", "users:delete")
    assert (beyond.exit_code, "has no scope 'users:delete'" in beyond.stderr) == (1, True)
    wrong = run("keys", "add", "bert", "--name", "x", "--scope", "raed")
    assert "Did you mean 'read'?" in wrong.stderr
    assert secret not in str(list(stored["docsheet.audit"].find()))


async def test_a_share_is_made_listed_and_ended(run: Run, stored: Any, mongo_uri: str) -> None:
    address = "/users/export/csv?columns=name"
    made = run("shares", "add", "bert", address, "--server", "https://sheets.example.org/")
    assert made.exit_code == 0
    url = made.stdout.strip()
    assert re.fullmatch(r"https://sheets\.example\.org/shared/[\w-]{43}/users\.csv", url)
    path = url.removeprefix("https://sheets.example.org")
    assert (await get(mongo_uri, path)).text == "name\r\n"
    listed = run("shares", "list").stdout
    assert address in listed
    assert path.split("/")[2] not in listed
    identifier = listed.splitlines()[1].split()[0]
    assert run("shares", "delete", identifier).exit_code == 0
    assert (await get(mongo_uri, path)).status_code == 410
    assert run("shares", "delete", identifier).exit_code == 1


@pytest.mark.parametrize(
    ("address", "detail"),
    [
        ("/users/", "must be as"),
        ("/nobody/export/csv", "must be as"),
        ("/users/export/doc", "There is no export format 'doc'"),
        ("/users/export/csv?nmae=x", "Did you mean 'name'?"),
        ("/students/export/csv", "may not export 'students'"),
    ],
)
def test_what_can_not_be_shared(run: Run, stored: Any, address: str, detail: str) -> None:
    run("roles", "set", "self", "-", given=json.dumps({"users": {"read": True, "export": True}}))
    run("accounts", "role", "bert", "self")
    done = run("shares", "add", "bert", address)
    assert done.exit_code == 1
    assert detail in done.stderr
    assert stored["docsheet.shares"].count_documents({}) == 0
