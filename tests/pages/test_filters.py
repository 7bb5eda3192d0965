"""Conditions in words, and the form that adds one."""

import datetime
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import bson
import httpx
import pytest
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page as Browser
from playwright.async_api import expect

from app.pages.filters import write_local
from app.pages.languages import language
from app.pages.operators import WORDINGS, describe_condition
from app.query.operators import OPERATORS
from tests.support.browser import hold, open_page, travel
from tests.support.html import Page
from tests.support.server import LiveServer

DATABASE = "pages_every_type"
MARKUP = "<script>alert(1)</script>"
FORM = "/ui/users/table/filter"
SHANGHAI = {"Cookie": "zone=Asia/Shanghai"}


@pytest.fixture(scope="module")
def types(mongo_uri: str) -> Iterator[httpx.Client]:
    """A client of a server whose models have a field of every type."""
    settings = {"MONGO_URI": mongo_uri, "DB_NAME": DATABASE, "MODELS": "tests.support.every_type"}
    with (
        LiveServer(**settings) as live,
        httpx.Client(base_url=live.address, timeout=60) as client,
    ):
        yield client


def add(client: httpx.Client, form: str, **fields: Any) -> httpx.Response:
    """What the form answers when its button is pressed, after it has shown the right input."""
    page = Page(client.get(form, params=fields).text)
    shown = page.find("input", name="shown")[0]["value"]
    return client.get(form, params=fields | {"shown": shown, "add": "1"})


def pairs_of(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 303, answer.text
    return parse_qsl(urlsplit(answer.headers["location"]).query, keep_blank_values=True)


def test_every_operator_has_words_in_both_languages() -> None:
    assert WORDINGS.keys() == OPERATORS.keys()
    for wording in WORDINGS.values():
        for words in filter(None, (wording.words, wording.of_times)):
            assert language("zh").gettext(words) != words


def test_each_condition_is_a_pill_in_words_that_can_be_removed(http: httpx.Client) -> None:
    query = "age__gte=18&name__contains=a&profile.addresses.city__in=x,y&profile__exists=false"
    page = Page(http.get(f"/ui/users/?{query}&sort=name&skip=10").text)
    pills = [text.partition("×")[0].strip() for text in page.texts("li", class_="pill")]
    assert pills == [
        "age ≥ 18",
        "name contains a",
        "profile › addresses › city is one of x, y",
        "profile has no value",
    ]
    (removed, *_) = [one["href"] for one in page.find("a", class_="remove")]
    assert removed.startswith("/ui/users/?name__contains=a&")
    assert removed.endswith("&sort=name")
    chinese = http.get(f"/ui/users/?{query}", headers={"Accept-Language": "zh"}).text
    assert "无值" in chinese
    assert "包含" in chinese


def test_no_value_of_an_address_is_markup(http: httpx.Client) -> None:
    odd = f"{MARKUP}{{{{7*7}}}}\u202e" + "长" * 2_000
    text = http.get("/ui/users/", params={"name": odd, "name__in": odd, "keyword": MARKUP}).text
    assert MARKUP not in text
    assert "{{7*7}}" in text
    assert "49" not in Page(text).texts("li", class_="pill")[0]


def test_a_linked_document_is_called_by_its_name(http: httpx.Client, database: Any) -> None:
    key = bson.ObjectId()
    database["classes"].insert_one({"_id": key, "name": f"Class <{key}>"})
    page = Page(http.get(f"/ui/students/?clas={key}").text)
    assert page.texts("li", class_="pill")[0].startswith(f"clas = Class <{key}>")
    through = Page(http.get(f"/ui/students/?clas.name=Class <{key}>").text)
    assert through.texts("li", class_="pill")[0].startswith("clas › name = Class")


def test_the_form_goes_from_a_field_to_operators_that_fit_to_a_value(http: httpx.Client) -> None:
    page = Page(http.get(FORM, params={"back": "sort=name"}).text)
    fields = page.choices("field")
    assert {"name", "age", "profile.addresses.city"} < set(fields)
    assert not page.find("select", name="op")
    page = Page(http.get(FORM, params={"field": "age"}).text)
    assert page.choices("op") == ["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "exists"]
    assert page.find("input", id="value", inputmode="decimal")
    page = Page(http.get(FORM, params={"field": "age", "op": "exists"}).text)
    assert page.choices("value") == ["true", "false"]


def test_fields_behind_links_are_there_one_level_deep(http: httpx.Client) -> None:
    page = Page(http.get("/ui/students/table/filter").text)
    assert {"clas", "clas.name", "courses.name"} < set(page.choices("field"))
    assert "courses.teacher.name" not in page.choices("field")
    assert "pwd" not in page.choices("field")
    assert {"clas", "courses"} <= {one["label"] for one in page.find("optgroup")}


def test_what_is_filled_in_becomes_a_parameter_of_the_table(http: httpx.Client) -> None:
    back = "sort=-name&skip=20&limit=20"
    added = add(http, FORM, field="age", op="gte", value="18", back=back)
    assert pairs_of(added) == [("sort", "-name"), ("limit", "20"), ("age__gte", "18")]
    assert http.get(added.headers["location"]).status_code == 200
    equal = add(http, FORM, field="age", op="eq", value="18")
    assert equal.headers["location"] == "/ui/users/?age=18"


def test_several_values_are_taken_whole(http: httpx.Client) -> None:
    lines = "a,b\nc\n\n"
    added = add(http, FORM, field="name", op="in", value=lines)
    assert pairs_of(added) == [("name__in", "a,b"), ("name__in", "c")]
    one = add(http, FORM, field="name", op="in", value="a,b")
    assert pairs_of(one) == [("name", "a,b")]
    more = add(http, FORM, field="name", op="in", value="z", back="name__in=x,y")
    assert pairs_of(more) == [("name__in", "x"), ("name__in", "y"), ("name__in", "z")]


def test_a_filter_is_changed_where_it_stands(http: httpx.Client) -> None:
    page = Page(http.get("/ui/users/?age__gte=18&name=Ada").text)
    form = page.find("li", class_="pill")[0].inner[0]["href"]
    page = Page(http.get(form).text)
    assert page.find("input", id="value")[0]["value"] == "18"
    fields = dict(parse_qsl(urlsplit(form).query)) | {"value": "21"}
    changed = add(http, FORM, **fields)
    assert pairs_of(changed) == [("name", "Ada"), ("age__gte", "21")]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"field": "age", "op": "gte", "value": "old"}, "must be a whole number"),
        ({"field": "age", "op": "gte", "value": ""}, "Enter a value."),
        ({"field": "nothing", "op": "eq", "value": "1"}, "Choose a field."),
        ({"field": "name", "op": "regex", "value": "x" * 201}, "at most 200 characters"),
    ],
)
def test_a_bad_value_is_said_beside_the_field_and_the_table_stays(
    http: httpx.Client, users: Any, fields: dict[str, str], fault: str
) -> None:
    users.insert_one({"name": "Ada", "email": "ada@example.com"})
    answer = http.get(FORM, params={**fields, "shown": "x", "add": "1"})
    answer = add(http, FORM, **fields) if answer.status_code == 200 else answer
    assert answer.status_code == 422
    page = Page(answer.text)
    assert fault in page.texts("p", id="value-fault")[0]
    assert "Ada" in page.texts("tbody")[0]
    assert fields["value"][:1] in answer.text


def test_an_unknown_parameter_is_none_of_the_forms(http: httpx.Client) -> None:
    assert http.get(FORM, params={"other": "1"}).status_code == 422
    assert http.get(FORM, params={"back": "%ff"}).status_code == 422


INPUTS = {
    "flag": ("select", "eq", {}),
    "color": ("select", "eq", {}),
    "level": ("select", "eq", {}),
    "day": ("input", "gte", {"type": "date"}),
    "moment": ("input", "gte", {"type": "datetime-local"}),
    "whole": ("input", "eq", {"inputmode": "decimal"}),
    "amount": ("input", "eq", {"inputmode": "decimal"}),
    "text": ("input", "contains", {}),
    "anything": ("input", "eq", {}),
    "link": ("select", "eq", {}),
    "colors": ("select", "eq", {}),
    "grid": ("select", "exists", {}),
    "point.x": ("input", "eq", {"inputmode": "decimal"}),
    "link.name": ("input", "contains", {}),
}


@pytest.mark.parametrize("path", INPUTS)
def test_the_value_has_an_input_of_its_type(types: httpx.Client, path: str) -> None:
    tag, operator, attributes = INPUTS[path]
    page = Page(types.get("/ui/things/table/filter", params={"field": path}).text)
    selected = [
        one["value"]
        for one in page.find("select", id="op")[0].inner
        if "selected" in one.attributes
    ]
    assert selected == [operator]
    assert page.find(tag, id="value", name="value", **attributes)


def test_choices_are_those_of_the_model(types: httpx.Client) -> None:
    form = "/ui/things/table/filter"
    assert Page(types.get(form, params={"field": "color"}).text).choices("value") == [
        "red",
        "green",
    ]
    page = Page(types.get(form, params={"field": "level", "op": "in"}).text)
    assert [one["value"] for one in page.find("input", type="checkbox", name="value")] == ["1", "2"]
    answer = types.get(
        form,
        params=[
            ("field", "level"),
            ("op", "in"),
            ("value", "1"),
            ("value", "2"),
            ("shown", "choices"),
            ("add", "1"),
        ],
    )
    assert pairs_of(answer) == [("level__in", "1"), ("level__in", "2")]


def test_a_time_is_one_of_the_readers_zone(types: httpx.Client) -> None:
    types.headers.update(SHANGHAI)
    form = "/ui/things/table/filter"
    local = "2026-01-02T08:00"
    added = add(types, form, field="moment", op="gte", value=local)
    assert pairs_of(added) == [("moment__gte", "2026-01-02T00:00:00Z")]
    day = add(types, form, field="day", op="lt", value="2026-01-02")
    assert pairs_of(day) == [("day__lt", "2026-01-02")]
    assert write_local("2026-01-02T00:00:00Z", "Asia/Shanghai") == "2026-01-02T08:00:00"
    page = types.get(added.headers["location"]).text
    assert 'datetime="2026-01-02T00:00:00Z"' in page


def test_a_linked_document_is_found_by_its_name(http: httpx.Client, database: Any) -> None:
    key = bson.ObjectId()
    database["classes"].insert_one({"_id": key, "name": f"Found {key}"})
    form = "/ui/students/table/filter"
    page = Page(http.get(form, params={"field": "clas", "q": str(key)[-8:]}).text)
    assert page.choices("value") == [str(key)]
    page = Page(http.get(form, params={"field": "clas", "q": str(key)}).text)
    assert page.choices("value") == [str(key)]


def test_an_empty_collection_says_so_and_no_match_says_something_else(http: httpx.Client) -> None:
    assert "There are no documents yet." in http.get("/ui/users/?sort=name").text
    assert "No documents match." in http.get("/ui/users/?name=x").text


def test_words_of_presence_follow_the_value() -> None:
    asked: Any = type("Asked", (), {"operator": OPERATORS["exists"]})
    assert describe_condition(language("en"), asked, "true") == "has a value"
    assert describe_condition(language("zh"), asked, "FALSE") == "无值"


async def test_a_filter_is_added_changed_and_removed_in_a_browser(
    page: Browser, users: Any
) -> None:
    rows = [("Ada", 30), ("Bea", 40), ("Cai", 50)]
    users.insert_many({"name": n, "email": f"{n}@example.com", "age": age} for n, age in rows)
    await page.goto("/ui/users/?sort=-name")
    await page.get_by_role("link", name="Add a filter").click()
    await page.locator("#field").select_option("age")
    await page.locator("#op").select_option("gte")
    await page.locator("#value").fill("old")
    await page.keyboard.press("Enter")
    await expect(page.locator("#value-fault")).to_contain_text("must be a whole number")
    await expect(page.locator("tbody tr")).to_have_count(3)
    await page.locator("#value").fill("40")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url("/ui/users/?sort=-name&age__gte=40")
    await expect(page.locator("tbody tr")).to_have_count(2)
    await page.locator(".remove").click()
    await expect(page.locator("tbody tr")).to_have_count(3)
    await travel(page, "back")
    await expect(page.locator("tbody tr")).to_have_count(2)


async def test_what_is_typed_while_the_next_step_is_asked_for_stays(page: Browser) -> None:
    await page.goto(f"{FORM}?field=age")
    async with hold(page, "**/table/filter?*"):
        await page.locator("#op").select_option("gte")
        await page.locator("#value").press_sequentially("4")
    await page.locator("#op option[value=gte][selected]").wait_for(state="attached")
    await expect(page.locator("#value")).to_be_focused()
    await page.keyboard.type("0")
    await expect(page.locator("#value")).to_have_value("40")


def test_midnight_is_a_date_alone_for_no_time() -> None:
    assert write_local("2026-01-02", "Asia/Shanghai") == "2026-01-02"
    assert datetime.datetime.fromisoformat(write_local("2026-06-01T10:00:00Z", "Europe/Paris"))


@pytest.mark.slow
async def test_without_scripts_the_same_forms_go_step_by_step(
    browser: Chromium, server: LiveServer, users: Any
) -> None:
    users.insert_many({"name": str(n), "email": f"{n}@example.com", "age": n} for n in range(3))
    async with open_page(browser, server.address, java_script_enabled=False) as page:
        await page.goto("/ui/users/?sort=-name")
        await page.get_by_role("link", name="Add a filter").click()
        await page.locator("#field").select_option("age")
        await page.get_by_role("button", name="Continue").click()
        await page.locator("#op").select_option("exists")
        await page.locator("#value").fill("what is typed here is no answer")
        await page.get_by_role("button", name="Apply").click()
        await page.locator("#value").select_option("true")
        await page.get_by_role("button", name="Apply").click()
        await expect(page).to_have_url("/ui/users/?sort=-name&age__exists=true")
        await page.get_by_role("link", name="Show the filters").click()
        await page.locator("#facets").get_by_role("link", name="2", exact=True).click()
        await expect(page).to_have_url("/ui/users/?sort=-name&age__exists=true&name=2")
        await page.locator("#sort-age").click()
        await expect(page.locator("[aria-sort=ascending]")).to_have_text("age")
