"""`docsheet seed`, as a person runs it."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import DATABASE
from tests.support.mongod import needs_mongod
from tests.support.nursery import nursery
from tests.support.server import ROOT

pytestmark = needs_mongod


@pytest.fixture
def seed(mongo_uri: str) -> Any:
    def seed(*words: str, **settings: str) -> tuple[int, str]:
        environment = {**os.environ, "MONGO_URI": mongo_uri, "DB_NAME": DATABASE, **settings}
        done = nursery().run(["seed", *words], ROOT, environment)
        assert b"Traceback" not in done.stderr
        return done.returncode, (done.stdout + done.stderr).decode().splitlines()[-1]

    return seed


def test_the_same_seed_again_adds_nothing_and_says_how_to_get_more(seed: Any, users: Any) -> None:
    assert seed("users", "--count", "1500") == (0, "1,500 documents stored in 'users'.")
    again = "0 documents stored in 'users'; 1,500 were there already (--seed 2 makes other ones)."
    assert seed("users", "--count", "1500") == (0, again)
    assert seed("users", "--count", "10", "--seed", "2") == (0, "10 documents stored in 'users'.")
    assert users.count_documents({}) == 1510


def test_an_unknown_collection_names_the_nearest(seed: Any) -> None:
    status, shown = seed("user")
    assert status == 1
    assert shown.startswith("docsheet: There is no collection 'user'. Did you mean 'users'?")


def test_a_class_without_a_sample_is_named(seed: Any) -> None:
    status, shown = seed("things", MODELS="tests.support.every_type")
    assert (status, shown.startswith("docsheet: Thing has no Resource.sample")) == (1, True)


def test_a_link_to_a_class_without_a_sample_is_to_what_is_there(
    seed: Any, users: Any, tmp_path: Path
) -> None:
    (tmp_path / "unsampled.py").write_text(
        "from beanie import Document, Link\n"
        "class Kind(Document):\n"
        "    name: str\n"
        "class Cat(Document):\n"
        "    kind: Link[Kind] | None = None\n"
        "    class Resource:\n"
        "        @staticmethod\n"
        "        def sample(fake, number):\n"
        "            return {'kind': fake.linked('kind')}\n"
    )
    words = {"MODELS": "unsampled", "PYTHONPATH": str(tmp_path)}
    cats, kinds = users.database["Cat"], users.database["Kind"]
    done = (0, "20 documents stored in 'Cat'.")
    try:
        assert seed("Cat", "--count", "20", **words) == done
        assert cats.count_documents({"kind": None}) == 20
        key = kinds.insert_one({"name": "tabby"}).inserted_id
        assert seed("Cat", "--count", "20", "--seed", "2", **words) == done
        assert cats.count_documents({"kind.$id": key}) == 20
    finally:
        cats.drop()
        kinds.drop()


def test_a_sample_that_the_model_refuses_is_named(seed: Any, tmp_path: Path) -> None:
    (tmp_path / "refused.py").write_text(
        "from beanie import Document\n"
        "class Thing(Document):\n"
        "    name: str\n"
        "    class Resource:\n"
        "        @staticmethod\n"
        "        def sample(fake, number):\n"
        "            return {'name': number}\n"
    )
    status, shown = seed("Thing", MODELS="refused", PYTHONPATH=str(tmp_path))
    assert status == 1
    assert "Thing.Resource.sample makes what the model refuses" in shown


def test_a_database_that_is_away_is_one_line_that_leads_to_the_doctor(tmp_path: Path) -> None:
    away = {"MONGO_URI": "mongodb://127.0.0.1:1", "PRIMARY_WAIT_SECONDS": "1"}
    (tmp_path / "users.csv").touch()
    for words in (
        ["seed", "users"],
        ["export", "users", "-o", "-"],
        ["import", "users", str(tmp_path / "users.csv")],
        ["accounts", "list"],
    ):
        done = nursery().run(words, ROOT, {**os.environ, **away})
        assert (done.returncode, done.stdout) == (1, b"")
        (line,) = done.stderr.decode().strip().splitlines()
        assert line.startswith("docsheet: The database can't be reached")
        assert line.endswith("`docsheet doctor` says why.")
