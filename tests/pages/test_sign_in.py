"""Signing in and out, and what those see who have not: browsers the sign-in, programs a 401."""

import datetime
from collections.abc import AsyncIterator

import pytest

from app.resources.moments import now
from tests.support.accounts import ADDRESS, HASHER, PASSWORD, Served, basic, serve

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}
HTMX = {"HX-Request": "true", "Accept": "*/*", "Sec-Fetch-Mode": "cors"}
FORM = {"username": "root", "password": PASSWORD}


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr("app.auth.passwords._hasher", HASHER)
    async with serve() as one:
        yield one


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/", "/"),
        ("/ui", "/ui"),
        ("/ui/users/?name=%E5%BC%A0&age=1", "/ui/users/%3Fname%3D%25E5%25BC%25A0%26age%3D1"),
        ("/ui/nowhere%0A", "/ui/nowhere%250A"),
        ("/ui/admin/accounts/", "/ui/admin/accounts/"),
        ("/students/index.html", "/students/index.html"),
    ],
)
async def test_a_browser_is_led_to_the_sign_in_and_back(
    served: Served, path: str, there: str
) -> None:
    async with served.client(**BROWSER) as client:
        for method in ("GET", "HEAD"):
            answer = await client.request(method, path)
            assert (answer.status_code, answer.headers["Location"]) == (
                303,
                f"/ui/sign-in?next={there}",
            )
        signed_in = await client.post(
            answer.headers["Location"], data=FORM, headers={"Origin": ADDRESS}
        )
        assert (signed_in.status_code, signed_in.headers["Location"]) == (303, path)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Accept": "application/json"},
        {"Accept": "application/json, text/html;q=0.5"},
        {**BROWSER, "Sec-Fetch-Mode": "cors"},
        {**BROWSER, **basic("root", "wrong")},
    ],
)
async def test_programs_are_refused(served: Served, headers: dict[str, str]) -> None:
    async with served.client(**headers) as client:
        for path in ("/", "/ui/users/"):
            assert (await client.get(path)).status_code == 401
        assert (await client.get("/users/", headers=BROWSER)).status_code == 401


async def test_a_script_of_a_page_is_told_to_go_to_the_sign_in(served: Served) -> None:
    async with served.client(**HTMX) as client:
        answer = await client.get("/ui/users/?name=a")
        current = {"HX-Current-URL": f"{ADDRESS}/ui/users/?age=1"}
        part = await client.get("/ui/users/table/facets?age=1", headers=current)
        nowhere = await client.get("/ui/users/table/facets")
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/ui/sign-in?next=/ui/users/%3Fname%3Da"
    assert part.headers["HX-Redirect"] == "/ui/sign-in?next=/ui/users/%3Fage%3D1"
    assert nowhere.headers["HX-Redirect"] == "/ui/sign-in?next=/ui/"


@pytest.mark.parametrize("headers", [BROWSER, HTMX])
async def test_a_form_without_a_session_is_not_led_away(
    served: Served, headers: dict[str, str]
) -> None:
    """What was typed is there still, or is sent again when the page is loaded again."""
    async with served.client(Origin=ADDRESS, **headers) as client:
        answer = await client.post("/ui/users/new", data={"name": "Ada"})
    assert answer.status_code == 401
    assert "HX-Redirect" not in answer.headers
    assert answer.headers.get_list("WWW-Authenticate") == ['Bearer realm="docsheet"']
    assert "Sign in in another tab" in answer.text
    assert 'href="/ui/sign-in" target="_blank"' in answer.text


async def test_a_session_that_was_idle_for_long_is_led_to_the_sign_in(served: Served) -> None:
    sessions = served.database["docsheet.sessions"]
    async with served.client(**BROWSER) as client:
        await client.post("/ui/sign-in", data=FORM, headers={"Origin": ADDRESS})
        assert (await client.get("/ui/users/")).status_code == 200
        sessions.update_many({}, {"$set": {"used": now() - datetime.timedelta(hours=13)}})
        answer = await client.get("/ui/users/")
        assert answer.headers["Location"] == "/ui/sign-in?next=/ui/users/"
        assert (await client.get("/ui/sign-in")).status_code == 200


async def test_the_form_is_a_page_in_the_language_of_its_reader(served: Served) -> None:
    async with served.client(**{"Accept-Language": "zh-CN"}) as client:
        assert '<html lang="zh-CN"' in (await client.get("/ui/sign-in")).text
        wrong = {"username": '"><b>', "password": "wrong horse"}
        answer = await client.post("/ui/sign-in", data=wrong, headers={"Origin": ADDRESS})
        assert answer.status_code == 400
        assert "名称或密码不正确。" in answer.text
        assert "<b>" not in answer.text
        assert "/ui/users/" not in answer.text


async def test_too_many_passwords_say_when_to_try_again(served: Served) -> None:
    headers = {"Origin": ADDRESS}
    async with served.client() as client:
        for _ in range(10):
            wrong = {"username": "root", "password": "wrong horse"}
            await client.post("/ui/sign-in", data=wrong, headers=headers)
        answer = await client.post("/ui/sign-in", data=FORM, headers=headers)
    assert answer.status_code == 429
    seconds = int(answer.headers["Retry-After"])
    assert 300 <= seconds <= 600
    assert f"Try again in {round(seconds / 60)} minutes." in answer.text


async def test_the_header_names_the_reader_and_signs_out(served: Served) -> None:
    async with served.client(Origin=ADDRESS, **BROWSER) as client:
        await client.post("/ui/sign-in", data=FORM)
        page = (await client.get("/ui/")).text
        assert '<a href="/ui/me">root</a>' in page
        assert '<form method="post" action="/ui/sign-out"' in page
        out = await client.post("/ui/sign-out")
        assert (out.status_code, out.headers["Location"]) == (303, "/ui/sign-in")
        assert (await client.get("/ui/")).status_code == 303


async def test_below_a_prefix_the_way_to_the_sign_in_has_it(served: Served) -> None:
    async with serve(ROOT_PATH="/data") as below, below.client(**BROWSER) as client:
        answer = await client.get("/ui/users/?a=b")
        assert answer.headers["Location"] == "/data/ui/sign-in?next=/ui/users/%3Fa%3Db"
        form = await client.get(answer.headers["Location"].removeprefix("/data"))
        assert 'action="/data/ui/sign-in?next=/ui/users/%3Fa%3Db"' in form.text
