"""The doctor on sets that are fine and on others: what fails first, and how to fix it."""

import io
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from bson import DBRef
from pymongo import MongoClient
from rich.console import Console

from app.commands.doctor import examine, findings
from app.commands.doctor_case import Case, Finding
from app.commands.doctor_steps import STEPS
from app.resources.registry import discover
from app.servers.process import Mongod
from app.servers.replica_set import ReplicaSet
from app.servers.wire import ask
from app.settings import Settings
from tests.support.mongod import needs_mongod
from tests.support.nursery import nursery
from tests.support.ports import free_ports
from tests.support.server import ROOT

pytestmark = needs_mongod

OK = ["ok"] * len(STEPS)


@pytest.fixture
def free_port() -> int:
    return free_ports(1)[0]


@pytest.fixture
def lone(tmp_path: Path, free_port: int) -> Iterator[Mongod]:
    """One mongod that wants to be in a set and isn't yet."""
    mongod = Mongod(tmp_path, f"127.0.0.1:{free_port}", "--replSet", "rs0")
    mongod.start()
    yield mongod
    mongod.stop()


def first_failing(uri: str) -> tuple[str, str, str]:
    """The step, what it found, what fixes it."""
    case = Case(settings(), uri)
    return next(
        (name, found.detail, found.fix) for name, found in findings(case) if found.state == "fails"
    )


def settings(uri: str = "", **more: object) -> Settings:
    return Settings(MONGO_URI=uri, _env_file=None, **more)  # type: ignore[call-arg, arg-type]


def shown(chosen: Settings) -> tuple[bool, str]:
    output = io.StringIO()
    return examine(chosen, Console(file=output, width=200)), output.getvalue()


@pytest.mark.replica_set
@pytest.mark.slow
def test_a_fine_set_is_fine_and_what_may_not_be_asked_is_said(members: ReplicaSet) -> None:
    found = dict(findings(Case(settings(members.uri()), members.uri())))
    states = {name: finding.state for name, finding in found.items()}
    assert states == {**dict.fromkeys(found, "ok"), "snapshots": "not permitted"}
    assert found["primary"].detail == members.primary
    assert shown(settings(members.uri()))[0]


@pytest.mark.replica_set
def test_root_may_ask_everything(members: ReplicaSet) -> None:
    found = dict(findings(Case(settings(), members.uri("root"))))
    assert [finding.state for finding in found.values()] == OK
    assert found["snapshots"].detail == "an export may read for 1800 s"


def test_the_embedded_database_is_fine(tmp_path: Path) -> None:
    is_fine, text = shown(settings(DATA_DIR=tmp_path / "data"))
    assert is_fine
    assert "fails" not in text
    names = ", ".join(discover("models"))
    assert f"not made yet (the server does at its start) for {names}" in text
    assert f"resources: {names}" in text


def test_a_mistake_in_the_models_is_a_step_of_its_own(
    tmp_path: Path, mongo_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mistaken.py").write_text("from beanie import Documnt\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    case = Case(settings(MODELS="mistaken"), mongo_uri)
    found = dict(findings(case))
    assert found["models"] == Finding(
        "fails",
        "mistaken.py, line 1: ImportError: cannot import name 'Documnt' from 'beanie'.",
        "correct that line; docs/models.md says what works.",
    )
    assert (found["indexes"].state, found["primary"].state) == ("skipped", "ok")


def test_values_that_keep_a_unique_index_from_being_made_are_named(mongo_uri: str) -> None:
    with MongoClient[dict[str, object]](mongo_uri) as client:
        users = client["doubled"]["users"]
        users.insert_many([{"email": "a@x.com"}, {"email": "a@x.com"}, {"email": "b@x.com"}])
        try:
            found = dict(findings(Case(settings(DB_NAME="doubled"), mongo_uri)))
        finally:
            client.drop_database("doubled")
    others = ", ".join(name for name in discover("models") if name != "users")
    assert found["indexes"] == Finding(
        "fails",
        "missing: users.email_1 (several documents have email 'a@x.com'); "
        f"not made yet (the server does at its start) for {others}",
        "leave one document alone with each of these values in 'users'; the server then makes the "
        "index by itself.",
    )


def test_links_that_lead_nowhere_are_counted_by_field(
    tmp_path: Path, mongo_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dangling.py").write_text(
        "from beanie import Document, Link\nfrom pydantic import BaseModel\n"
        "class Author(Document):\n    id: int\n"
        "class Shelf(Document):\n    id: int\n"
        "    class Resource:\n        on_delete = 'keep'\n"
        "class Part(BaseModel):\n    by: list[Link[Author]] = []\n"
        "class Book(Document):\n    author: Link[Author] | None = None\n"
        "    parts: list[Part] = []\n    shelf: Link[Shelf] | None = None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def examined() -> Finding:
        chosen = settings(DB_NAME="dangling", MODELS="dangling")
        return dict(findings(Case(chosen, mongo_uri)))["links"]

    def to(number: int) -> DBRef:
        return DBRef("Author", number)

    with MongoClient[dict[str, object]](mongo_uri) as client:
        database = client["dangling"]
        database["Author"].insert_many([{"_id": 1}, {"_id": 2}])
        database["Book"].insert_many(
            [
                {"author": to(1), "parts": [{"by": [to(1), 2]}, {"by": []}, {}], "shelf": None},
                {"author": 2, "parts": []},
                {},
                {"author": None, "parts": [{"by": [to(2)]}]},
            ]
        )
        try:
            assert examined() == Finding("ok", "all lead to a document")
            database["Book"].insert_one({"shelf": DBRef("Shelf", 5)})
            kept = "lead nowhere, as on_delete = 'keep' allows: 1 in Book.shelf (such as 5)"
            assert examined() == Finding("ok", kept)
            database["Author"].delete_one({"_id": 2})
            assert examined() == Finding(
                "fails",
                "lead nowhere: 1 in Book.author (such as 2), 2 in Book.parts.by (such as 2); "
                f"{kept}",
                "store the document of 'Author' that is missing again, or change 'author' in "
                "those of 'Book' that link to it.",
            )
            database["Author"].insert_one({"_id": 2})
            database["Book"].insert_one({"author": {"a": 1}, "parts": [{"by": [[1]]}, 7]})
            assert examined().detail.startswith(
                "lead nowhere: 1 in Book.author (such as {'a': 1});"
            )
        finally:
            client.drop_database("dangling")


def test_an_index_of_another_name_a_view_and_no_indexes_at_all_are_fine(
    tmp_path: Path, mongo_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "viewed.py").write_text(
        "from typing import Annotated\nfrom beanie import Document, Indexed\n"
        "class One(Document):\n    a: Annotated[int, Indexed(unique=True)]\n"
        "class Two(Document):\n    a: Annotated[int, Indexed(unique=True)]\n"
        "class Three(Document):\n    a: int\n"  # whose collection isn't there yet
    )
    monkeypatch.syspath_prepend(tmp_path)
    with MongoClient[dict[str, object]](mongo_uri) as client:
        client["viewed"]["One"].create_index("a", unique=True, name="mine")
        client["viewed"].command("create", "Two", viewOn="One", pipeline=[])
        try:
            found = dict(findings(Case(settings(DB_NAME="viewed", MODELS="viewed"), mongo_uri)))
        finally:
            client.drop_database("viewed")
    assert found["indexes"] == Finding("ok", "a view, which has none, for Two")


@pytest.mark.replica_set
def test_rights_that_are_missing_on_one_collection_hide_nothing_of_the_others(
    members: ReplicaSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "partly.py").write_text(
        "from typing import Annotated\nfrom beanie import Document, Indexed\n"
        "class First(Document):\n    a: Annotated[int, Indexed()]\n"
        "class Second(Document):\n    a: Annotated[int, Indexed()]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with MongoClient[dict[str, object]](members.uri("root")) as client:
        client["partly"]["Second"].insert_one({"a": 1})
        rights = [
            {"resource": {"db": "partly", "collection": ""}, "actions": ["listCollections"]},
            {
                "resource": {"db": "partly", "collection": "Second"},
                "actions": ["find", "listIndexes"],
            },
        ]
        client.admin.command("createRole", "partly", privileges=rights, roles=[])
        client.admin.command("createUser", "partly", pwd="partly", roles=["partly"])
    uri = f"mongodb://partly:partly@{','.join(members.members)}/?replicaSet=rs0&authSource=admin"
    found = dict(findings(Case(settings(DB_NAME="partly", MODELS="partly"), uri)))
    assert found["indexes"] == Finding(
        "fails",
        "missing: Second.a_1; not permitted for First",
        "start the server, which makes them.",
    )


def test_no_password_is_shown(members: ReplicaSet) -> None:
    assert members.accounts["docsheet"].password[:18] not in shown(settings(members.uri()))[1]


@pytest.mark.replica_set
def test_a_wrong_port(members: ReplicaSet, free_port: int) -> None:
    uri = members.uri().replace(",".join(members.members), f"127.0.0.1:{free_port}")
    assert first_failing(uri) == (
        "ports",
        f"no MongoDB answers at 127.0.0.1:{free_port} (connection refused)",
        f"start mongod at 127.0.0.1:{free_port}, or correct host and port in MONGO_URI; a "
        "firewall may be between.",
    )


@pytest.mark.replica_set
def test_a_wrong_password(members: ReplicaSet) -> None:
    uri = members.uri().replace("docsheet:", "docsheet:x", 1)
    step, detail, fix = first_failing(uri)
    assert (step, detail) == (
        "credentials",
        "'docsheet' is not let in (its users are looked up in 'admin')",
    )
    assert "authSource=admin" in fix


@pytest.mark.replica_set
def test_no_user_where_one_is_needed(members: ReplicaSet) -> None:
    step, _, fix = first_failing(f"mongodb://{','.join(members.members)}/?replicaSet=rs0")
    assert (step, fix[:35]) == ("credentials", "write mongodb://user:password@… int")


@pytest.mark.replica_set
def test_a_database_that_the_user_has_no_rights_on(members: ReplicaSet) -> None:
    found = dict(findings(Case(settings(DB_NAME="other"), members.uri())))
    assert found["credentials"] == Finding(
        "fails",
        "'docsheet' has no rights on the database 'other'",
        "give it some: db.getSiblingDB('admin').grantRolesToUser('docsheet', [{role: "
        "'readWrite', db: 'other'}])",
    )


@pytest.mark.replica_set
def test_a_wrong_name_of_the_set(members: ReplicaSet) -> None:
    uri = members.uri().replace("replicaSet=rs0", "replicaSet=rs9")
    detail = "MONGO_URI wants the set 'rs9'; this one is named 'rs0'"
    assert first_failing(uri) == ("set's name", detail, "write replicaSet=rs0 into MONGO_URI.")


def test_member_names_that_are_not_known_here(
    lone: Mongod, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(
        lone.address,
        {"replSetInitiate": {"_id": "rs0", "members": [{"_id": 0, "host": lone.address}]}},
        30,
    )
    real = socket.getaddrinfo
    port = lone.address.rpartition(":")[2]

    def lost(host: str, *rest: object, **more: object) -> object:
        if host == "mongo1.internal":
            raise socket.gaierror(-2, "Name or service not known")
        return real(host, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", lost)
    case = Case(settings(), f"mongodb://{lone.address}/?replicaSet=rs0")
    asked = case.ask_node
    monkeypatch.setattr(
        case, "ask_node", lambda address: {**asked(address), "hosts": [f"mongo1.internal:{port}"]}
    )
    name, found = next((name, found) for name, found in findings(case) if found.state == "fails")
    assert (name, found.fix[:53]) == (
        "members' names",
        "make mongo1.internal known to this machine (DNS, /etc",
    )


def test_a_set_that_is_not_initiated(lone: Mongod) -> None:
    assert first_failing(f"mongodb://{lone.address}/?replicaSet=rs0") == (
        "set's name",
        "the node belongs to no set yet",
        "initiate it once: mongosh --eval 'rs.initiate()'.",
    )


@pytest.mark.parametrize(
    ("uri", "step", "fix"),
    [
        (
            "mongodb://nowhere.invalid:27017",
            "names",
            "correct the name in MONGO_URI, or make nowhere.invalid:27017",
        ),
        (
            "mongodb://mongo1..example.org:27017",
            "names",
            "correct the name in MONGO_URI, or make mongo1..example.org",
        ),
        (
            "mongodb://user:p@ss:w@host",
            "MONGO_URI",
            "MONGO_URI looks like mongodb://user:password@host1:27017",
        ),
        (
            "mongodb://host:99999",
            "MONGO_URI",
            "MONGO_URI looks like mongodb://user:password@host1:27017",
        ),
    ],
)
def test_an_address_that_leads_nowhere(uri: str, step: str, fix: str) -> None:
    found_step, _, found_fix = first_failing(uri)
    assert (found_step, found_fix[: len(fix)]) == (step, fix)


@pytest.mark.replica_set
def test_the_command_says_by_its_exit_status_whether_all_is_well(members: ReplicaSet) -> None:
    for uri, status in (
        (members.uri(), 0),
        (members.uri().replace("replicaSet=rs0", "replicaSet=rs9"), 1),
    ):
        done = nursery().run(["doctor"], ROOT, {**os.environ, "MONGO_URI": uri})
        assert (done.returncode, b"Traceback" in done.stderr) == (status, False), done.stdout


@pytest.mark.slow
@pytest.mark.replica_set
def test_no_primary(members: ReplicaSet) -> None:
    for _ in range(2):
        members.kill("SECONDARY")
    left = next(name for name, state in members.status().items() if state != "DOWN")
    members.step_down() if members.status()[left] == "PRIMARY" else None
    is_fine, text = shown(settings(members.uri()))
    try:
        assert not is_fine
        assert "no node takes writes; 1 of 3 answer" in text
        assert "1 of 3 hold data and answer" in text
        dead = next(name for name in members.members if name != left)
        assert text.endswith(
            f"To fix this: start the node {dead}; until then the set lives on less.\n"
        )
    finally:
        members.start_members()
        members.wait_until_whole()
