"""`docsheet accounts`: the first administrator, and what else a person does at a terminal."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import Result
from pymongo import MongoClient
from typer.testing import CliRunner

from app.__main__ import cli
from tests.support.accounts import PASSWORD
from tests.support.nursery import nursery
from tests.support.server import ROOT

Run = Callable[..., Result]
pytestmark = pytest.mark.mongod


@pytest.fixture
def stored(mongo_uri: str) -> Iterator[Any]:
    """The database of the commands, empty."""
    with MongoClient[dict[str, Any]](mongo_uri, tz_aware=True) as client:
        client.drop_database("test_commands")
        yield client["test_commands"]
        client.drop_database("test_commands")


@pytest.fixture
def run(mongo_uri: str, stored: Any) -> Run:
    """The command line in this process."""
    environment = {"MONGO_URI": mongo_uri, "DB_NAME": stored.name}

    def run_(*words: str, given: str = "", **more: str) -> Result:
        return CliRunner().invoke(cli, ["accounts", *words], input=given, env=environment | more)

    return run_


def test_an_administrator_is_added_with_a_password_from_standard_input(
    run: Run, stored: Any
) -> None:
    done = run("add", "anna", "--role", "admin", given=f"{PASSWORD}\n")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "The account 'anna' can sign in, with the role 'admin'.\n"
    account = stored["docsheet.accounts"].find_one({"name": "anna"})
    assert account["password"].startswith("$argon2id$")
    assert account["role"] == "admin"
    entry = stored["docsheet.audit"].find_one({"what": "account made"})
    assert (entry["target"], entry["means"]) == ("anna", "command")
    assert PASSWORD not in done.stdout + str(entry)


def test_accounts_are_listed_disabled_and_deleted(run: Run, stored: Any) -> None:
    run("add", "anna", "--role", "admin", given=PASSWORD)
    added = run("add", "bert", "--role", "viewer", "--without-password")
    assert "'bert' has no password, and calls by keys alone" in added.stdout
    assert run("disable", "BERT").exit_code == 0
    lines = run("list").stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["name", "role", "state", "last", "seen"],
        ["anna", "admin", "enabled", "never"],
        ["bert", "viewer", "disabled", "never"],
    ]
    assert run("enable", "bert").exit_code == 0
    assert run("role", "bert", "editor").exit_code == 0
    assert run("password", "bert", given="another horse").exit_code == 0
    bert = stored["docsheet.accounts"].find_one({"name": "bert"})
    assert (bert["disabled"], bert["role"]) == (False, "editor")
    assert bert["password"].startswith("$argon2id$")
    stored["docsheet.sessions"].insert_one({"_id": "x", "account": bert["_id"]})
    assert run("delete", "bert").exit_code == 0
    assert stored["docsheet.accounts"].count_documents({}) == 1
    assert stored["docsheet.sessions"].count_documents({}) == 0
    done = [entry["what"] for entry in stored["docsheet.audit"].find({"target": "bert"})]
    changes = ["account changed"] * 3
    assert done == ["account made", *changes, "password changed", "account deleted"]


@pytest.mark.parametrize(
    ("words", "given", "sentence"),
    [
        (("add", "anna", "--role", "viewer"), PASSWORD, "There is an account 'anna' already."),
        (("add", "ANNA", "--role", "viewer"), PASSWORD, "There is an account 'ANNA' already."),
        (("add", "bert", "--role", "admn"), PASSWORD, "Did you mean 'admin'?"),
        (("add", "bert", "--role", "viewer"), "short", "A password must have 8 to 128 characters."),
        (("add", "bert", "--role", "viewer"), "", "A password must have 8 to 128 characters."),
        (("password", "anna"), "x" * 129, "A password must have 8 to 128 characters."),
        (("add", "be:rt", "--role", "viewer"), PASSWORD, "no colon"),
        (("add", "key_1", "--role", "viewer"), PASSWORD, "no name begins with key_"),
        (("disable", "anna"), "", "the last administrator"),
        (("delete", "anna"), "", "the last administrator"),
        (("role", "anna", "viewer"), "", "the last administrator"),
        (("disable", "carl"), "", "There is no account 'carl'"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    run: Run, stored: Any, words: tuple[str, ...], given: str, sentence: str
) -> None:
    run("add", "anna", "--role", "admin", given=PASSWORD)
    done = run(*words, given=given)
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert stored["docsheet.accounts"].count_documents({}) == 1


def test_the_secret_is_rotated_where_it_is_no_setting(run: Run, stored: Any) -> None:
    assert run("rotate-secret").stdout == "Secret number 1 signs from now on.\n"
    assert run("rotate-secret").stdout == "Secret number 2 signs from now on.\n"
    assert "until" in stored["docsheet.secrets"].find_one({"_id": 1})
    done = run("rotate-secret", SECRET_KEY="x" * 32)
    assert done.exit_code == 1
    assert "SECRET_KEY" in done.stderr


def test_a_server_without_an_administrator_does_not_start(
    run: Run, stored: Any, mongo_uri: str
) -> None:
    run("add", "anna", "--role", "admin", given=PASSWORD)
    stored["docsheet.accounts"].update_one({}, {"$set": {"disabled": True}})
    environment = {**os.environ, "MONGO_URI": mongo_uri, "DB_NAME": stored.name, "PORT": "0"}
    for more in ({"AUTH": "on"}, {"HOST": "0.0.0.0"}, {"AUTH": "on", "WORKERS": "2"}):
        done = nursery().run(["serve"], ROOT, environment | more)
        assert done.returncode == 1
        assert b"docsheet accounts add NAME --role admin" in done.stderr
        assert b"Traceback" not in done.stderr
