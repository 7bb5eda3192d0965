"""A password as a field: hashed once, when it is sent, and never seen again."""

import threading
from collections.abc import Iterator
from typing import Any

import bson
import httpx
import pytest
from pwdlib import PasswordHash

from app.errors import Invalid
from app.resources.codec import decode
from app.resources.documents import read_document, read_replacement
from app.resources.patches import read_patch
from app.resources.registry import Resource, discover
from models import password
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer

PWD = "geheim-4711"


class CountingHasher:
    """Stands for argon2, which takes its time."""

    def __init__(self) -> None:
        self.hashed: list[str] = []

    def hash(self, value: str) -> str:
        """Some text that differs each time."""
        self.hashed.append(value)
        return f"$argon2id$ {len(self.hashed)}"


@pytest.fixture
def teachers() -> Resource:
    return discover("models")["teachers"]


@pytest.fixture
def hasher(monkeypatch: pytest.MonkeyPatch) -> CountingHasher:
    counting = CountingHasher()
    monkeypatch.setattr(password, "_hasher", counting)
    return counting


def test_only_what_is_sent_costs_a_hash(teachers: Resource, hasher: CountingHasher) -> None:
    document = read_document(teachers, {"name": "x", "tno": 1, "pwd": PWD})
    raw = bson.encode(document)
    assert (document["pwd"], hasher.hashed) == ("$argon2id$ 1", [PWD])

    assert read_patch(teachers, {"name": "y"}, raw).set == {"name": "y"}
    put = decode(read_replacement(teachers, {"name": "z", "tno": 2}, raw))
    assert (put["pwd"], hasher.hashed) == ("$argon2id$ 1", [PWD])

    assert read_patch(teachers, {"pwd": "new"}, raw).set == {"pwd": "$argon2id$ 2"}
    put = decode(read_replacement(teachers, {"name": "z", "tno": 2, "pwd": "newer"}, raw))
    assert (put["pwd"], hasher.hashed) == ("$argon2id$ 3", [PWD, "new", "newer"])


def test_a_wrong_password_is_not_repeated(teachers: Resource, hasher: CountingHasher) -> None:
    for pwd in ("", PWD * 20, 4711, [PWD]):
        with pytest.raises(Invalid) as caught:
            read_document(teachers, {"name": "x", "tno": 1, "pwd": pwd})
        (fault,) = caught.value.faults
        assert fault.pointer == "#/pwd"
        assert "sent" not in f"{caught.value}{fault.detail}"
        assert "4711" not in f"{caught.value}{fault.detail}"
    assert hasher.hashed == []


async def test_the_event_loop_does_not_hash(
    mock_http: httpx.AsyncClient, hasher: CountingHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()
    monkeypatch.setattr(hasher, "hash", lambda value: str(threads.add(threading.get_ident())))
    body = {"name": "x", "tno": 1, "pwd": PWD}
    created = await mock_http.post("/teachers/", json=body)
    item = created.headers["Location"]
    assert (await mock_http.patch(item, json={"pwd": "2"})).status_code == 200
    assert (await mock_http.put(item, json={**body, "pwd": "3"})).status_code == 200
    assert created.status_code == 201
    assert threads
    assert threading.get_ident() not in threads


@pytest.fixture
def http(server: LiveServer, database: Any) -> Iterator[httpx.Client]:
    database["teachers"].delete_many({})
    with httpx.Client(base_url=server.address, timeout=60) as client:
        yield client


class TestServed:
    """Over HTTP, with argon2 itself."""

    pytestmark = needs_mongod

    def test_the_hash_stays_and_is_never_seen(
        self, http: httpx.Client, database: Any, server: LiveServer
    ) -> None:
        answers = [http.post("/teachers/", json={"name": "王", "tno": 1, "pwd": PWD})]
        item = answers[0].headers["Location"]
        first = database["teachers"].find_one()["pwd"]
        assert PasswordHash.recommended().verify(PWD, first)

        answers.append(http.patch(item, json={"name": "李"}))
        answers.append(http.put(item, json={"name": "张", "tno": 2}))
        assert [answer.status_code for answer in answers] == [201, 200, 200]
        assert database["teachers"].find_one()["pwd"] == first

        answers.append(http.patch(item, json={"pwd": f"{PWD}!"}))
        second = database["teachers"].find_one()["pwd"]
        assert PasswordHash.recommended().verify(f"{PWD}!", second)

        answers += [http.get(item), http.get("/teachers/"), http.get("/teachers/?keyword=argon2")]
        answers += [http.get(f"/teachers/export/{one}") for one in ("csv", "json", "ndjson")]
        assert all(answer.status_code < 300 for answer in answers)
        wrong = [
            http.get(f"/teachers/?pwd={PWD}"),
            http.get(f"/teachers/?pwd__startswith={PWD}"),
            http.get("/teachers/?sort=pwd"),
            http.get("/teachers/?fields=pwd"),
            http.get("/teachers/export/csv?columns=pwd"),
            http.post("/teachers/", json={"name": "", "tno": 0, "pwd": PWD}),
            http.post("/teachers/", json={"name": "x", "tno": 3, "pwd": PWD * 20}),
        ]
        assert [answer.status_code for answer in wrong] == [422] * len(wrong)
        assert server.logged(wrong[-1].headers["X-Request-ID"])
        seen = server.log + "".join(answer.text for answer in (*answers, *wrong))
        assert not [secret for secret in (PWD, "argon2", first, second) if secret in seen]
