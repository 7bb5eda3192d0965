"""How often a password may be tried: ten times for a name, fifty times from one address."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from app.application import create_app
from app.auth import sign_in, throttle
from tests.support.accounts import PASSWORD, Served, basic, serve, settings_of

FORM = {"grant_type": "password", "username": "root", "password": PASSWORD}
WRONG = {**FORM, "password": "wrong horse"}


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check of a password takes no time: what is counted is the same."""

    async def is_right(password: str, stored: str | None) -> bool:
        return password == PASSWORD and stored is not None

    monkeypatch.setattr(sign_in, "is_right", is_right)


async def ask(client: httpx.AsyncClient, form: dict[str, str]) -> int:
    return (await client.post("/auth/token", data=form)).status_code


async def test_after_ten_failures_the_right_password_is_refused_too(served: Served) -> None:
    async with served.client() as client, served.client("10.0.0.2") as other:
        assert [await ask(client, WRONG) for _ in range(10)] == [400] * 10
        answer = await client.post("/auth/token", data=FORM)
        assert answer.status_code == 429
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert 500 < int(answer.headers["Retry-After"]) <= 600
        basic_ = await client.get("/users/", headers=basic("root"))
        assert basic_.status_code == 429
        page = await client.post(
            "/ui/sign-in",
            data={"username": "root", "password": PASSWORD},
            headers={"Origin": "http://localhost"},
        )
        assert page.status_code == 429
        assert int(page.headers["Retry-After"]) > 0
        assert await ask(client, {**FORM, "username": "ROOT"}) == 429
        assert await ask(other, FORM) == 200


@pytest.mark.parametrize(
    "name", ["ro\N{SOFT HYPHEN}ot", "root\0", "\N{FULLWIDTH LATIN SMALL LETTER R}oot", "root "]
)
async def test_an_account_has_one_name_alone(served: Served, name: str) -> None:
    """However it is written in another way, it is another name: else each had tries of its own."""
    async with served.client() as client:
        assert await ask(client, {**FORM, "username": name}) == 400


async def test_a_name_is_counted_however_its_letters_are_composed(served: Served) -> None:
    served.add("\N{LATIN SMALL LETTER E WITH ACUTE}ve")
    names = ("\N{LATIN SMALL LETTER E WITH ACUTE}ve", "E\N{COMBINING ACUTE ACCENT}VE")
    async with served.client() as client:
        for number in range(10):
            assert await ask(client, {**WRONG, "username": names[number % 2]}) == 400
        assert [await ask(client, {**FORM, "username": name}) for name in names] == [429, 429]


async def test_right_passwords_are_not_counted(served: Served) -> None:
    async with served.client() as client:
        assert [await ask(client, FORM) for _ in range(15)] == [200] * 15
        assert [await ask(client, WRONG) for _ in range(9)] == [400] * 9
        assert await ask(client, FORM) == 200
        assert await ask(client, WRONG) == 400
        assert await ask(client, FORM) == 429


async def test_who_guesses_is_not_told_by_what_is_remembered(served: Served) -> None:
    """The owner's requests from the same address have just been right."""
    async with served.client() as client:
        assert (await client.get("/users/", headers=basic("root"))).status_code == 200
        guesses = [f"horse {number}" for number in range(11)]
        statuses = [
            (await client.get("/users/", headers=basic("root", guess))).status_code
            for guess in guesses
        ]
        assert statuses == [401] * 10 + [429]
        assert (await client.get("/users/", headers=basic("root"))).status_code == 429


async def test_a_name_is_counted_once_however_it_is_written(real: Served) -> None:
    """Case does not count; a name with characters that nobody sees is another one, of nobody."""
    names, others = ["root", "ROOT"], ["ro\u00adot", "r\u200boot"]
    async with real.client() as client:
        forms = [{**WRONG, "username": names[number % 2]} for number in range(10)]
        assert [await ask(client, form) for form in forms] == [400] * 10
        assert [await ask(client, {**FORM, "username": name}) for name in names] == [429] * 2
        assert [await ask(client, {**FORM, "username": name}) for name in others] == [400] * 2


async def test_broken_credentials_are_no_failures(served: Served) -> None:
    async with served.client() as client:
        for _ in range(12):
            answer = await client.get("/users/", headers={"Authorization": "Basic !!!"})
            assert answer.status_code == 401
            assert (await client.get("/users/", headers=basic("", ""))).status_code == 401
        assert await ask(client, FORM) == 200


async def test_parallel_guesses_are_counted_together(served: Served) -> None:
    async with served.client() as client:
        statuses = await asyncio.gather(*[ask(client, WRONG) for _ in range(40)])
    assert sorted(statuses) == [400] * 10 + [429] * 30


async def test_fifty_failures_from_one_address_are_enough(served: Served) -> None:
    served.add("anna")
    async with served.client() as client, served.client("10.0.0.2") as other:
        names = [{**WRONG, "username": f"name {number}"} for number in range(50)]
        assert [await ask(client, form) for form in names] == [400] * 50
        assert await ask(client, {**FORM, "username": "anna"}) == 429
        assert await ask(other, {**FORM, "username": "anna"}) == 200


async def test_many_who_sign_in_at_once_from_one_address_are_no_failures(served: Served) -> None:
    for number in range(60):
        served.add(f"anna {number}")
    async with served.client() as client:
        forms = [{**FORM, "username": f"anna {number}"} for number in range(60)]
        assert await asyncio.gather(*[ask(client, form) for form in forms]) == [200] * 60


@pytest.mark.slow
async def test_a_name_that_many_addresses_try_is_slow_and_never_locked(served: Served) -> None:
    for number in range(20):
        async with served.client(f"10.0.{number}.1") as client:
            assert await ask(client, WRONG) == 400
    async with served.client("10.9.9.9") as client:
        began = time.monotonic()
        assert await ask(client, FORM) == 200
        assert time.monotonic() - began > 0.9


async def test_the_addresses_of_one_ipv6_network_are_one(served: Served) -> None:
    for number in range(10):
        async with served.client(f"2001:db8::{number:x}") as client:
            assert await ask(client, WRONG) == 400
    async with served.client("2001:db8::ffff") as client:
        assert await ask(client, FORM) == 429
    async with served.client("2001:db8:0:1::1") as client:
        assert await ask(client, FORM) == 200


async def test_a_change_of_the_password_counts_as_well(served: Served) -> None:
    header = await served.bearer("root")
    change = {"old": "wrong horse", "new": "another horse"}
    async with served.client() as client:
        for status in [422] * 10 + [429]:
            answer = await client.put("/auth/me/password", json=change, headers=header)
            assert answer.status_code == status


@pytest.mark.mongod
async def test_all_servers_count_together(mongo_uri: str) -> None:
    async with (
        serve(mongo_uri) as one,
        second_server(one, mongo_uri) as two,
        one.client() as first,
        two.client() as second,
    ):
        clients = [first, second] * 20
        statuses = await asyncio.gather(*[ask(client, WRONG) for client in clients])
        assert sorted(statuses) == [400] * 10 + [429] * 30
        assert await ask(second, FORM) == 429


@asynccontextmanager
async def second_server(one: Served, uri: str) -> AsyncIterator[Served]:
    app = create_app(settings_of(DB_NAME=one.database.name, MONGO_URI=uri))
    async with app.router.lifespan_context(app):
        yield Served(app, one.database)


async def test_the_window_moves(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    async with served.client() as client:
        assert [await ask(client, WRONG) for _ in range(10)] == [400] * 10
        monkeypatch.setattr(time, "time", lambda: now + throttle.WINDOW - 5)
        assert await ask(client, FORM) == 429
        monkeypatch.setattr(time, "time", lambda: now + throttle.WINDOW + 5)
        assert await ask(client, FORM) == 200


async def test_a_clock_that_is_set_back_locks_nobody_out(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fail_before_the_clock_is_set_back(served, monkeypatch)


@pytest.mark.mongod
async def test_nor_do_the_counts_of_all_servers(
    real: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fail_before_the_clock_is_set_back(real, monkeypatch)


async def fail_before_the_clock_is_set_back(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By less than the window the failures count still, and by more they do not."""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    monkeypatch.setattr(throttle, "STEP", 0.0)
    async with served.client() as client:
        assert [await ask(client, WRONG) for _ in range(10)] == [400] * 10
        monkeypatch.setattr(time, "time", lambda: now - throttle.WINDOW + 5)
        assert await ask(client, FORM) == 429
        monkeypatch.setattr(time, "time", lambda: now - throttle.WINDOW - 60)
        assert await ask(client, FORM) == 200
        assert [await ask(client, WRONG) for _ in range(11)] == [400] * 10 + [429]


@pytest.mark.slow
async def test_of_ten_thousand_wrong_passwords_few_are_checked(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = 0

    async def is_right(password: str, stored: str | None) -> bool:
        nonlocal checked
        checked += 1
        return False

    monkeypatch.setattr(sign_in, "is_right", is_right)
    monkeypatch.setattr(throttle, "SLOWEST", 0.0)
    async with served.client() as client:
        for _ in range(100):
            forms = [{**WRONG, "username": f"name {number % 7}"} for number in range(100)]
            statuses = await asyncio.gather(*[ask(client, form) for form in forms])
            assert set(statuses) <= {400, 429}
    assert checked == 50
