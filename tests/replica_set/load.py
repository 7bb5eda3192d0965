"""Clients that create, patch and read through HTTP, and keep an account of what they were told."""

import itertools
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

LONGEST = 60.0  # seconds that a client waits for an answer before it calls that a hang


@dataclass
class Answer:
    """One answer, or what came instead of one (`status` 0)."""

    method: str
    status: int
    began: float
    seconds: float
    detail: str = ""
    retry_after: str | None = None

    @property
    def ended(self) -> float:
        return self.began + self.seconds


@dataclass
class Told:
    """What one client was told of the users that it created, and of the one that it patches."""

    created: list[str] = field(default_factory=list)  # e-mails, answered by 201
    unsure: list[str] = field(default_factory=list)  # e-mails, answered by anything else
    patched: dict[str, int] = field(
        default_factory=dict
    )  # e-mail → the last age that was answered by 200
    tried: dict[str, int] = field(default_factory=dict)  # e-mail → the last age that was sent


class Load:
    """So many clients at work within `with`; afterwards `answers` and `told` are the account."""

    def __init__(
        self, address: str, clients: int = 8, *, name: str = "load", pause: float = 0.02
    ) -> None:
        self.answers: list[Answer] = []
        self.told = [Told() for _ in range(clients)]
        self._address = address
        self._name = name
        self._pause = pause
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,)) for number in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def statuses(self) -> Counter[int]:
        return Counter(answer.status for answer in self.answers)

    def failures(self) -> list[Answer]:
        return [answer for answer in self.answers if not 200 <= answer.status < 300]

    def longest_gap(self) -> float:
        """The longest time in which no write succeeded for anybody, in seconds."""
        ends = sorted(
            answer.ended
            for answer in self.answers
            if answer.method != "GET" and 200 <= answer.status < 300
        )
        return max((later - earlier for earlier, later in itertools.pairwise(ends)), default=0.0)

    def _run(self, number: int) -> None:
        told = self.told[number]
        with httpx.Client(base_url=self._address, timeout=LONGEST) as http:
            for turn in itertools.count():
                if self._stopping.is_set() or not self._turn(
                    http, told, f"{self._name}.{number}.{turn}@example.com"
                ):
                    return
                time.sleep(self._pause)

    def _turn(self, http: httpx.Client, told: Told, email: str) -> bool:
        """One user created, patched twice and read; whether the server still answers."""
        body = {
            "name": email,
            "email": email,
            "profile": {"bio": email, "addresses": [{"city": "北京"}]},
        }
        answer, stored = self._ask(http, "POST", "/users/", body)
        (told.created if answer.status == 201 else told.unsure).append(email)
        if answer.status == 0:
            return False
        for age in (1, 2) if stored else ():
            told.tried[email] = age
            answer, _ = self._ask(http, "PATCH", f"/users/{stored['_id']}", {"age": age})
            if answer.status == 200:
                told.patched[email] = age
        if stored:
            answer, read = self._ask(http, "GET", f"/users/{stored['_id']}")
            if answer.status == 200 and read.get("age", 0) != told.patched.get(email):
                assert read.get("age") == told.tried[email], (
                    f"{email} reads {read} after {told.patched.get(email)}"
                )
        return answer.status != 0

    def _ask(
        self, http: httpx.Client, method: str, path: str, body: Any = None
    ) -> tuple[Answer, dict[str, Any]]:
        began = time.monotonic()
        try:
            got = http.request(method, path, json=body)
        except httpx.TransportError as error:
            answer = Answer(
                method, 0, began, time.monotonic() - began, f"{type(error).__name__}: {error}"
            )
            self.answers.append(answer)
            return answer, {}
        answer = Answer(method, got.status_code, began, time.monotonic() - began)
        content: dict[str, Any] = {}
        with suppress(ValueError):
            content = got.json()
        if got.status_code >= 400:
            answer.detail, answer.retry_after = (
                content.get("detail", got.text),
                got.headers.get("Retry-After"),
            )
            content = {}
        self.answers.append(answer)
        return answer, content


def assert_kept(load: Load, users: Any) -> None:
    """Every write that was confirmed is in the database, exactly once and whole.

    Nothing else is.
    """
    stored = {document["email"]: document for document in users.find()}
    assert users.count_documents({}) == len(stored)
    created = [email for told in load.told for email in told.created]
    unsure = {email for told in load.told for email in told.unsure}
    assert not set(created) - stored.keys(), "confirmed, but not there"
    assert not stored.keys() - set(created) - unsure, "there, but nobody sent it"
    for told in load.told:
        for email, age in told.tried.items():
            assert told.patched.get(email, 0) <= (stored[email]["age"] or 0) <= age
    for email, document in stored.items():
        assert (document["name"], document["profile"]["bio"]) == (email, email)
        assert document["profile"]["addresses"] == [
            {"street": None, "city": "北京", "zipcode": None, "country": None}
        ]


def measured(text: str) -> None:
    """Shows what a test measured (`pytest -s`)."""
    sys.stdout.write(f"\n{text}\n")
