"""Accounts, roles, keys, shares and the audit are administered by the screens of any collection."""

import html
import re
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest

from app.resources.moments import now
from tests.pages.test_hidden import list_addresses, name_kind
from tests.support.accounts import ADDRESS, HASHER, PASSWORD, Served, serve
from tests.support.forms import TYPE, Form, encode, read_form
from tests.support.waiting import until

MISSING = "0123456789abcdef01234567"
BROWSER = {"Accept": "text/html", "Origin": ADDRESS}


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch, mongo_uri: str) -> AsyncIterator[Served]:
    monkeypatch.setattr("app.auth.passwords._hasher", HASHER)
    async with serve(mongo_uri) as one:
        yield one


@pytest.fixture
async def admin(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of an administrator who has signed in."""
    async with served.client(**BROWSER) as client:
        form = {"username": "root", "password": PASSWORD}
        assert (await client.post("/ui/sign-in", data=form)).status_code == 303
        yield client


async def open_form(client: httpx.AsyncClient, address: str) -> Form:
    answer = await client.get(address)
    assert answer.status_code == 200, answer.text
    return read_form(answer)


async def press(client: httpx.AsyncClient, form: Form, button: str = "save") -> httpx.Response:
    data = encode([*form.pairs, ("do", button)])
    return await client.post(form.address, content=data, headers=TYPE)


async def delete(client: httpx.AsyncClient, address: str) -> httpx.Response:
    """Presses the button on the screen that asks before it deletes."""
    page = await client.get(f"{address}/delete")
    assert page.status_code == 200, page.text
    found = re.search(r'name="etag" value="([^"]*)"', page.text)
    assert found is not None
    return await client.post(f"{address}/delete", data={"etag": html.unescape(found[1])})


def read(answer: httpx.Response) -> str:
    return html.unescape(re.sub(r"<[^>]+>", " ", answer.text.partition("<main")[2]))


def find_fault(answer: httpx.Response, name: str) -> str:
    """What is said beside a control."""
    pattern = rf'id="error:{re.escape(name)}">(.*?)</span>\s*</span>'
    found = re.search(pattern, answer.text, re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", "", found[1])).strip() if found else ""


async def sign_in(served: Served, name: str, password: str) -> int:
    async with served.client(**BROWSER) as client:
        form = {"username": name, "password": password}
        return (await client.post("/ui/sign-in", data=form)).status_code


async def test_an_account_is_made_changed_and_deleted(
    served: Served, admin: httpx.AsyncClient
) -> None:
    page = await admin.get("/ui/admin/accounts/new")
    roles = re.findall(r"<option.*?>(.+?)</option>", page.text)
    assert roles[:4] == ["not set", "admin", "editor", "viewer"]
    form = read_form(page)
    form.set("/name", "Anna").set("/role", "viewer").set("/password", "another horse")
    made = await press(admin, form)
    assert made.status_code == 303, read(made)
    address = made.headers["Location"]
    assert re.fullmatch(r"/ui/admin/accounts/[0-9a-f]{24}", address)
    assert await sign_in(served, "anna", "another horse") == 303
    page = await admin.get(address)
    for secret in ("another horse", "argon2"):
        assert secret not in page.text
    form = await open_form(admin, f"{address}/edit")
    assert form.get("/password") == ""
    assert not {"/created", "/last_seen"} & set(form.names())
    changed = await press(admin, form.set("/role", "editor"))
    assert changed.status_code == 303, read(changed)
    assert await sign_in(served, "anna", "another horse") == 303
    form = await open_form(admin, f"{address}/edit")
    assert (await press(admin, form.set("/password", "third horse"))).status_code == 303
    assert await sign_in(served, "anna", "another horse") == 400
    assert await sign_in(served, "anna", "third horse") == 303
    assert (await delete(admin, address)).status_code == 303
    assert (await admin.get(address)).status_code == 404
    audit = served.database["docsheet.audit"]
    of_anna = {"target": "Anna", "account": "root"}
    await until(lambda: audit.count_documents(of_anna) >= 4)
    written = [one["what"] for one in audit.find(of_anna)]
    assert written == ["account made", "account changed", "account changed", "account deleted"]


async def test_an_account_that_was_seen_while_its_form_was_open_is_no_conflict(
    served: Served, admin: httpx.AsyncClient
) -> None:
    key, accounts = served.add("anna", "viewer"), served.database["docsheet.accounts"]
    for change, status in (({"last_seen": now()}, 303), ({"name": "Ann"}, 412)):
        form = await open_form(admin, f"/ui/admin/accounts/{key}/edit")
        accounts.update_one({"_id": key}, {"$set": {**change, "password": "unseen"}})
        answer = await press(admin, form.set("/role", "editor"))
        assert answer.status_code == status, read(answer)
        found = accounts.find_one({"_id": key}, {"role": 1, **dict.fromkeys(change, 1)})
        assert found == {"_id": key, "role": "editor" if status == 303 else "viewer", **change}
        accounts.update_one({"_id": key}, {"$set": {"role": "viewer"}})


async def test_what_is_wrong_with_an_account_is_said_beside_its_field(
    admin: httpx.AsyncClient,
) -> None:
    form = await open_form(admin, "/ui/admin/accounts/new")
    form.set("/name", "a:b").set("/role", "viewer").set("/password", "short")
    answer = await press(admin, form)
    assert answer.status_code == 422
    assert "a name has no colon" in find_fault(answer, "/name")
    assert "8" in find_fault(answer, "/password")
    form = await open_form(admin, "/ui/admin/accounts/new")
    form.set("/name", "bob").set("/role", "nobody").set("/password", "another horse")
    answer = await press(admin, form)
    assert answer.status_code == 422
    assert "nobody" in find_fault(answer, "/role")
    form = await open_form(admin, "/ui/admin/accounts/new")
    form.set("/name", "ROOT").set("/role", "viewer").set("/password", "another horse")
    answer = await press(admin, form)
    assert answer.status_code == 409
    assert "unique" in find_fault(answer, "/name")


async def test_the_last_administrator_stays(served: Served, admin: httpx.AsyncClient) -> None:
    root = served.database["docsheet.accounts"].find_one({"name": "root"})
    address = f"/ui/admin/accounts/{root['_id']}"
    for name, value in (("/role", "viewer"), ("/disabled", "true")):
        answer = await press(admin, (await open_form(admin, f"{address}/edit")).set(name, value))
        assert answer.status_code == 409
        assert "last administrator" in read(answer)
        assert read_form(answer).get(name) == value
    answer = await delete(admin, address)
    assert answer.status_code == 409
    assert "last administrator" in read(answer)
    assert served.database["docsheet.accounts"].find_one({"name": "root"})["role"] == "admin"


async def make_role(client: httpx.AsyncClient, resource: str, rule: str) -> httpx.Response:
    form = await open_form(client, "/ui/admin/roles/new")
    form = read_form(await press(client, form.set("/name", "clerk"), "add /rules"))
    return await press(client, form.set("key:/rules/0", resource).set("/rules/0", rule))


async def test_a_role_is_checked_and_stays_while_accounts_have_it(
    served: Served, admin: httpx.AsyncClient
) -> None:
    for resource, rule, words in (
        ("users", '{"read": ', "JSON"),
        ("nowhere", '{"read": true}', "nowhere"),
        ("users", '{"read": {"hide": ["emial"]}}', "Did you mean 'email'?"),
        ("users", '{"read": {"where": "age__gte=x"}}', "age__gte"),
    ):
        answer = await make_role(admin, resource, rule)
        assert answer.status_code == 422
        assert words in find_fault(answer, "/rules/0") + find_fault(answer, "/rules"), rule
        assert read_form(answer).get("/rules/0") == rule
    rule = '{"read": {"where": "age__gte=18", "hide": ["email"]}}'
    made = await make_role(admin, "users", rule)
    assert made.status_code == 303, read(made)
    served.add("anna", "clerk")
    form = await admin.get("/ui/admin/accounts/new")
    assert '<option value="clerk">clerk</option>' in form.text
    refused = await delete(admin, made.headers["Location"])
    assert refused.status_code == 409
    assert "1 account" in read(refused)
    served.database["docsheet.accounts"].delete_one({"name": "anna"})
    assert (await delete(admin, made.headers["Location"])).status_code == 303


async def test_what_is_closed_in_a_role_is_said_where_it_is_shown(
    served: Served, admin: httpx.AsyncClient
) -> None:
    rules = {"users": {"read": {"hide": ["gone"]}, "update": {"where": "name__regex=("}}}
    role = {"name": "old", "rules": rules}
    key = served.database["docsheet.roles"].insert_one(role).inserted_id
    page = await admin.get(f"/ui/admin/roles/{key}")
    assert "closed at #/rules/users/read/hide/0: There is no field 'gone'." in read(page)
    assert "closed at #/rules/users/update/where: MongoDB refuses this" in read(page)
    page = await admin.get(f"/ui/admin/roles/{key}", headers={"Accept-Language": "zh"})
    assert "角色“old”在 #/rules/users/update/where 处已停用：MongoDB 拒绝这个正则" in read(page)
    served.database["docsheet.roles"].update_one({"_id": key}, {"$set": {"rules": {}}})
    assert "closed" not in read(await admin.get(f"/ui/admin/roles/{key}"))


async def test_the_audit_is_read_in_the_language_of_the_reader(
    served: Served, admin: httpx.AsyncClient
) -> None:
    """What is stored, and asked for, stays English."""
    entry = {"what": "exported", "means": "session", "details": {}}
    key = served.database["docsheet.audit"].insert_one(entry).inserted_id
    chinese, path = {"Accept-Language": "zh"}, "/ui/admin/audit/"
    page = await admin.get(f"{path}?what=exported&means__in=session,key", headers=chinese)
    cell, other = (
        '<data value="exported">导出</data>',
        '<data value="session">网页登录</data>',
    )
    for one in (cell, other):
        assert f"<td>{one}</td>" in page.text
        assert f"<bdi>{one}</bdi>" in page.text  # in the condition
    assert cell in (await admin.get(f"{path}{key}", headers=chinese)).text
    page = await admin.get(f"{path}table/facets", headers=chinese)
    assert '?what=documents+deleted"><bdi>批量删除文档</bdi></a>' in page.text
    page = await admin.get(f"{path}table/filter?field=means&op=in", headers=chinese)
    assert re.search(r'value="session"[^>]*>\s*<label for="value-\d"><bdi>网页登录<', page.text)
    for address in (f"{path}?what=exported", f"{path}{key}"):
        assert "<data" not in (await admin.get(address)).text


async def test_the_audit_is_read_only(served: Served, admin: httpx.AsyncClient) -> None:
    audit = served.database["docsheet.audit"]
    await until(lambda: audit.count_documents({"what": "signed in"}))
    page = await admin.get("/ui/admin/audit/?what=signed+in")
    (key,) = set(re.findall(r"/ui/admin/audit/([0-9a-f]{24})", page.text))
    entry = await admin.get(f"/ui/admin/audit/{key}")
    assert "signed in" in read(entry)
    for text in (page.text, entry.text):
        assert not re.search(r"/ui/admin/audit/[^\"]*(new|edit|delete|import)", text)
    for step in ("new", f"{key}/edit", f"{key}/delete"):
        assert (await admin.get(f"/ui/admin/audit/{step}")).status_code in (404, 422)
        assert (await admin.post(f"/ui/admin/audit/{step}")).status_code in (404, 405)


async def test_a_key_is_renamed_and_ended_by_its_document(
    served: Served, admin: httpx.AsyncClient
) -> None:
    made = await admin.post("/ui/admin/keys/new", data={"name": "first"})
    identifier = re.findall(r"<code data-copy>(key_\w+)<", made.text)[0]
    address = f"/ui/admin/keys/{identifier}"
    page = await admin.get(address)
    assert page.status_code == 200
    assert "/ui/admin/keys/new?" not in page.text  # a key can't be duplicated
    assert "digest" not in page.text
    form = await open_form(admin, f"{address}/edit")
    assert not {"/account", "/scopes", "/digest"} & set(form.names())
    assert (await press(admin, form.set("/name", "second"))).status_code == 303
    assert "second" in (await admin.get("/ui/admin/keys/")).text
    assert (await delete(admin, address)).status_code == 303
    assert served.database["docsheet.keys"].count_documents({}) == 0


async def test_a_table_of_accounts_is_searched_filtered_and_sorted(
    served: Served, admin: httpx.AsyncClient
) -> None:
    for name in ("anna", "bert"):
        served.add(name, "viewer")
    for query, names in (
        ("keyword=ann", ["anna"]),
        ("role=viewer&sort=-name", ["bert", "anna"]),
        ("fields=name&limit=1&sort=name", ["anna"]),
    ):
        page = await admin.get(f"/ui/admin/accounts/?{query}")
        rows = re.findall(r"<tr>.*?</tr>", page.text.partition("<tbody>")[2], re.DOTALL)
        cells = [re.sub(r"<[^>]+>", " ", row).split() for row in rows]
        assert [[one for one in row if one in ("anna", "bert", "root")] for row in cells] == [
            [name] for name in names
        ]
    for step in ("table/filter", "table/columns"):
        assert (await admin.get(f"/ui/admin/accounts/{step}")).status_code == 200


async def test_fields_are_named_in_the_language_of_the_reader(admin: httpx.AsyncClient) -> None:
    me = (await admin.get("/auth/accounts/?name=root")).json()[0]["_id"]
    for screen, names in (
        ("?last_seen__exists=true", ("名称", "角色", "最近访问 ")),
        ("table/columns", ("<bdi>最近访问", "已停用")),
        ("table/filter", ("已停用",)),
        ("new", ("名称 （必填）", "密码")),
        (me, ("名称 name", "创建时间 created")),
        (f"{me}/edit", ("名称 （必填）", "角色")),
    ):
        page = await admin.get(
            f"/ui/admin/accounts/{screen}", headers={"Accept-Language": "zh", "Accept": "text/html"}
        )
        assert page.status_code == 200
        text = " ".join(read(page).split())
        assert [name for name in names if name not in text + page.text] == [], (screen, text)


async def test_a_page_of_another_site_writes_nothing(served: Served) -> None:
    async with served.client(Accept="text/html") as client:
        form = {"username": "root", "password": PASSWORD}
        await client.post("/ui/sign-in", data=form, headers={"Origin": ADDRESS})
        names = {"key": MISSING, "token": MISSING, "step": "write", "slug": "a", "format": "csv"}
        tried = 0
        for route in served.app.paths.routes:
            if not route.path.startswith("/ui/") or "POST" not in route._handlers:
                continue
            tried += 1
            for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {}):
                if route.path == "/ui/preferences" and not headers:
                    continue  # it takes no cookie of a session
                path = route.path.format(**names)
                answer = await client.post(path, data={"name": "x"}, headers=headers)
                assert answer.status_code == 403, (path, headers)
        assert tried > 20
        assert (await client.get("/ui/me")).status_code == 200


@pytest.mark.slow
async def test_every_link_of_the_administration_leads_somewhere(
    served: Served, admin: httpx.AsyncClient
) -> None:
    await admin.post("/ui/admin/keys/new", data={"name": "a key"})
    await admin.post("/ui/me/shares/new", data={"address": "/users/export/csv"})
    served.database["docsheet.roles"].insert_one({"name": "clerk", "rules": {}})
    waiting, seen = ["/ui/admin/"], {}
    while waiting:
        address = waiting.pop(0)
        kind = name_kind(address)
        if kind in seen or not address.startswith(("/ui/admin/", "/auth/", "/views/")):
            continue
        answer = await admin.get(address)
        seen[kind] = answer.status_code
        is_form_only = answer.status_code in (405, 422)  # of what is posted, or asked by scripts
        assert answer.status_code in (200, 303) or is_form_only, (address, read(answer))
        if answer.headers["Content-Type"].startswith("text/html"):
            waiting += list_addresses(answer.text, urlsplit(address).path)
    of_one = [f"/ui/admin/{one}/{{key}}" for one in ("accounts", "roles", "shares", "audit")]
    for path in of_one:
        assert seen.get((path,)) == 200, path
    # What is written one at a time has no buttons for many, and is in no import or saved view.
    for path, *_ in seen:
        assert not re.search(r"/ui/admin/\w+/(import|views|bulk)", path), path
