"""Imports while the primary goes: what is reported as written is written, once."""

import threading
import time
from typing import Any

import httpx
import pytest

from app.servers.replica_set import ReplicaSet
from tests.api.test_imports import CSV, PATH, counts, people
from tests.support.mongod import needs_mongod

pytestmark = [*needs_mongod, pytest.mark.replica_set]
ROWS = 20_000


@pytest.mark.parametrize(
    ("mode", "kill"),
    [
        pytest.param("insert", True, marks=pytest.mark.slow),
        ("upsert", False),
        pytest.param("insert", False, marks=pytest.mark.slow),
        pytest.param("upsert", True, marks=pytest.mark.slow),
    ],
)
def test_an_import_survives_the_loss_of_its_primary(
    http: httpx.Client, members: ReplicaSet, users: Any, mode: str, kill: bool
) -> None:
    answers: list[httpx.Response] = []

    def send() -> None:
        sent = {"content-type": CSV}
        body = people(ROWS).encode()
        answers.append(http.post(f"{PATH}?mode={mode}", content=body, headers=sent, timeout=120))

    sending = threading.Thread(target=send)
    sending.start()
    while users.find_one() is None and sending.is_alive():
        time.sleep(0.005)
    if kill:
        members.kill("PRIMARY")
    else:
        members.step_down(10)
    sending.join()
    assert counts(answers[0]) == (ROWS, ROWS, 0, 0, 0)
    assert users.count_documents({}) == ROWS
