"""The screens of accounts: one's own, and those of administrators."""

import html
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from app.resources.moments import now
from tests.support.accounts import ADDRESS, HASHER, PASSWORD, Served, basic, serve
from tests.support.waiting import until

BROWSER = {"Accept": "text/html", "Origin": ADDRESS}


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.auth.passwords._hasher", HASHER)


@pytest.fixture(params=["mock", pytest.param("mongod", marks=pytest.mark.slow)])
async def served(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    uri = request.getfixturevalue("mongo_uri") if request.param == "mongod" else ""
    async with serve(uri) as one:
        one.add("anna", "viewer")
        yield one


async def sign_in(client: httpx.AsyncClient, name: str, password: str = PASSWORD) -> int:
    form = {"username": name, "password": password}
    return (await client.post("/ui/sign-in", data=form)).status_code


def read(answer: httpx.Response) -> str:
    """The words of a page as its reader sees them."""
    main = answer.text.partition("<main")[2]
    return html.unescape(re.sub(r"<[^>]+>", "", main))


def find_codes(answer: httpx.Response) -> list[str]:
    """What a page shows to be copied."""
    return [html.unescape(one) for one in re.findall(r"<code data-copy>(.+?)</code>", answer.text)]


async def test_one_sees_what_one_may_do(served: Served) -> None:
    async with served.client(**BROWSER) as client:
        await sign_in(client, "anna")
        page = await client.get("/ui/me")
        facts = (await client.get("/auth/me")).json()
    words = read(page)
    assert page.status_code == 200
    assert "viewer" in words
    for facts_of_one in facts["resources"].values():
        assert ", ".join(facts_of_one["fields"]) in words
    assert "Administration" not in page.text
    assert 'href="/ui/users/"' in page.text


async def test_another_language_leads_back_to_where_the_form_was(served: Served) -> None:
    async with served.client(**BROWSER) as client:
        await sign_in(client, "anna")
        for referer, back in (
            (f"{ADDRESS}/ui/me", "/ui/me"),
            (f"{ADDRESS}/ui/users/?age=1&name=a", "/ui/users/?age=1&name=a"),
            (f"{ADDRESS}/users/", "/ui/me/password"),
            ("http://elsewhere/ui/me", "/ui/me/password"),
            ("", "/ui/me/password"),
        ):
            form = {"old": "x", "new": "another horse", "again": "another mule"}
            answer = await client.post("/ui/me/password", data=form, headers={"Referer": referer})
            assert answer.status_code == 422
            assert f'name="next" value="{html.escape(back)}"' in answer.text


async def test_another_password_of_ones_own(served: Served) -> None:
    async with served.client(**BROWSER) as client, served.client(**BROWSER) as elsewhere:
        await sign_in(client, "anna")
        await sign_in(elsewhere, "anna")
        cases = [
            ({"old": "wrong horse", "new": "another horse", "again": "another horse"}, "old"),
            ({"old": PASSWORD, "new": "short", "again": "short"}, "new"),
            ({"old": PASSWORD, "new": "another horse", "again": "another"}, "again"),
        ]
        for form, field in cases:
            answer = await client.post("/ui/me/password", data=form)
            assert answer.status_code == 422
            fault = re.search(rf'id="fault-{field}">\s*<span class="fault">(.+?)<', answer.text)
            assert fault is not None, field
            assert f"<p>{fault[1]}</p>" in answer.text  # above the form, and no place of a body
            assert "horse" not in answer.text
        right = {"old": PASSWORD, "new": "another horse", "again": "another horse"}
        answer = await client.post("/ui/me/password", data=right)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/ui/me")
        assert (await client.get("/ui/me")).status_code == 200
        assert (await elsewhere.get("/ui/me")).status_code == 303
        assert await sign_in(elsewhere, "anna") == 400
        assert await sign_in(elsewhere, "anna", "another horse") == 303


async def test_a_key_of_ones_own_is_shown_once_serves_and_is_revoked(served: Served) -> None:
    async with served.client(**BROWSER) as client, served.client() as program:
        await sign_in(client, "anna")
        form = {"name": "for <Excel>", "days": "30", "scope users:read": "on"}
        made = await client.post("/ui/me/keys/new", data=form)
        assert (made.status_code, made.headers["Cache-Control"]) == (201, "no-store")
        identifier, secret, header = find_codes(made)
        assert header == f"Authorization: Bearer {identifier}.{secret}"
        key = basic(identifier, secret)
        assert (await program.get("/users/", headers=key)).status_code == 200
        assert (await program.get("/students/", headers=key)).status_code == 403
        page = await client.get("/ui/me")
        assert "for <Excel>" in read(page)
        assert identifier in read(page)
        assert secret not in page.text
        ended = await client.post(f"/ui/me/keys/{identifier}/delete")
        assert (ended.status_code, ended.headers["Location"]) == (303, "/ui/me")
        assert (await program.get("/users/", headers=key)).status_code == 401
        assert identifier not in (await client.get("/ui/me")).text
    entry = {"what": "key made", "account": "anna"}
    await until(lambda: served.database["docsheet.audit"].count_documents(entry))


async def test_what_is_wrong_with_a_key_is_said_beside_its_field(served: Served) -> None:
    async with served.client(**BROWSER) as client:
        await sign_in(client, "anna")
        for form, field, status in (
            ({"name": ""}, "name", 422),
            ({"name": "a", "scope users:delete": "on"}, "scopes", 403),
            ({"name": "a", "scope nope": "on"}, "scopes", 422),
        ):
            answer = await client.post("/ui/me/keys/new", data=form)
            assert answer.status_code == status
            assert re.search(rf'id="fault-{field}">\s*<span class="fault">', answer.text), form
            assert f'value="{form["name"]}"' in answer.text
        for name in ("root", "nobody"):  # who is there is not said
            answer = await client.post("/ui/me/keys/new", data={"name": "a", "account": name})
            assert answer.status_code == 403
            assert "Only administrators make keys for another account." in read(answer)
    async with served.client(**BROWSER, **basic("root")) as client:
        answer = await client.post("/ui/admin/keys/new", data={"name": "a", "account": "nobody"})
        assert re.search(r'id="fault-account">\s*<span class="fault">', answer.text)
    assert served.database["docsheet.keys"].count_documents({}) == 0


async def test_an_administrator_makes_a_key_for_another(served: Served) -> None:
    async with served.client(**BROWSER) as client, served.client() as program:
        await sign_in(client, "root")
        page = await client.get("/ui/admin/keys/new")
        assert 'name="account"' in page.text
        assert 'name="account"' not in (await client.get("/ui/me/keys/new")).text
        form = {"name": "for Anna", "account": "ANNA", "days": ""}
        made = await client.post("/ui/admin/keys/new", data=form)
        identifier, secret, _ = find_codes(made)
        me = await program.get("/auth/me", headers=basic(identifier, secret))
        assert me.json()["name"] == "anna"
        assert 'href="/ui/admin/keys/"' in made.text


async def test_a_share_of_ones_own_is_shown_once_downloads_and_is_ended(served: Served) -> None:
    served.database["users"].insert_one({"name": "Ada", "email": "ada@example.com"})
    async with served.client(**BROWSER) as client, served.client() as program:
        await sign_in(client, "anna")
        address = "/users/export/csv?name__contains=A"
        form = await client.get("/ui/me/shares/new", params={"address": address})
        assert f'value="{html.escape(address)}"' in form.text
        wrong = await client.post("/ui/me/shares/new", data={"address": "/users/"})
        assert wrong.status_code == 422
        assert 'id="fault-address">\n<span class="fault">' in wrong.text
        made = await client.post("/ui/me/shares/new", data={"address": address, "days": "1"})
        assert made.status_code == 201
        url, formula = find_codes(made)
        assert formula == f'=IMPORTDATA("{url}")'
        assert "ada@example.com" in (await program.get(url)).text
        assert url not in (await client.get("/ui/me")).text
        (share,) = served.database["docsheet.shares"].find()
        seconds = (share["expires"].replace(tzinfo=now().tzinfo) - now()).total_seconds()
        assert 86_000 < seconds <= 86_400
        await client.post(f"/ui/me/shares/{share['_id']}/delete")
        assert (await program.get(url)).status_code == 410


async def test_what_a_key_with_fewer_scopes_may_not_is_not_offered(served: Served) -> None:
    (anna,) = served.database["docsheet.accounts"].find({"name": "anna"})
    headers = served.key(anna["_id"], "read")
    async with served.client(**BROWSER, **headers) as client:
        page = await client.get("/ui/me")
        assert "a key" in read(page)
        for words in ("/delete", "/ui/me/password"):
            assert words not in page.text
        (key,) = served.database["docsheet.keys"].find()
        assert (await client.post(f"/ui/me/keys/{key['_id']}/delete")).status_code == 403
        change = {"old": PASSWORD, "new": "another horse", "again": "another horse"}
        assert (await client.post("/ui/me/password", data=change)).status_code == 403


@pytest.mark.parametrize("resource", ["accounts", "roles", "keys", "shares", "audit"])
async def test_administrators_have_a_table_of_each(served: Served, resource: str) -> None:
    async with served.client(**BROWSER, **basic("root")) as client:
        home = await client.get("/ui/admin/")
        assert f'href="/ui/admin/{resource}/"' in home.text
        table = await client.get(f"/ui/admin/{resource}/")
        assert table.status_code == 200
        assert "<table>" in table.text
    async with served.client(**BROWSER, **basic("anna")) as client:
        assert (await client.get("/ui/admin/")).status_code == 403
        expected = 200 if resource in ("keys", "shares") else 403
        assert (await client.get(f"/ui/admin/{resource}/")).status_code == expected
