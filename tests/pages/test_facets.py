"""Lists of values beside the table."""

import datetime
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import bson
import httpx
import pytest
from playwright.async_api import Page as Browser
from playwright.async_api import expect
from pymongo import MongoClient

from app.pages.faceting import MAX_FACETS, list_fields
from app.resources.registry import discover
from app.store import frequencies
from app.store.documents import Documents
from app.store.frequencies import count_frequencies
from tests.support.browser import travel
from tests.support.html import Element, Page
from tests.support.server import LiveServer

DATABASE = "pages_facets"
SCRIPT = {"HX-Request": "true"}
THINGS = "/ui/things/table/facets"


@pytest.fixture(scope="module")
def things(mongo_uri: str) -> Iterator[tuple[httpx.Client, Any]]:
    """A client of a server whose documents have fields of every type, and the collection."""
    settings = {"MONGO_URI": mongo_uri, "DB_NAME": DATABASE, "MODELS": "tests.support.every_type"}
    with (
        LiveServer(**settings) as live,
        httpx.Client(base_url=live.address, timeout=60) as client,
        MongoClient[dict[str, Any]](mongo_uri, tz_aware=True) as mongo,
    ):
        yield client, mongo[DATABASE]["things"]


def read(client: httpx.Client, address: str, **headers: str) -> dict[str, list[Element]]:
    """The links of each list, by the path of its field."""
    page = Page(client.get(address, headers=headers).raise_for_status().text)
    lists = [one for one in page.find("ul") if "aria-labelledby" in one.attributes]
    return {
        one["aria-labelledby"].removeprefix("facet-"): [x for x in one.inner if x.tag == "a"]
        for one in lists
        if one["aria-labelledby"].startswith("facet-")
    }


def query_of(link: Element) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(link["href"]).query, keep_blank_values=True)


def test_the_table_comes_without_the_lists_and_with_a_way_to_them(http: httpx.Client) -> None:
    page = Page(http.get("/ui/users/?age__gte=18").text)
    assert page.find("aside", id="facets")[0]["hx-trigger"].startswith("load")
    assert not page.find("ul", aria_labelledby="facet-name")
    (way,) = [one for one in page.find("a") if one.text == "Show the filters"]
    assert way["href"] == "/ui/users/table/facets?age__gte=18"
    assert "<table>" in http.get(way["href"]).text
    assert "<table>" not in http.get(way["href"], headers=SCRIPT).text


def test_choices_and_booleans_are_all_there_and_the_current_one_is_marked(
    things: tuple[httpx.Client, Any],
) -> None:
    client, _ = things
    lists = read(client, f"{THINGS}?color=red&whole__gte=1&skip=10")
    assert [one.text for one in lists["flag"]] == ["All", "yes", "no"]
    assert [one.text for one in lists["color"]] == ["All", "red", "green"]
    current = [one.text for one in lists["color"] if "aria-current" in one.attributes]
    assert current == ["red"]
    everything, _, green = lists["color"]
    assert query_of(everything) == [("whole__gte", "1")]
    assert query_of(green) == [("whole__gte", "1"), ("color", "green")]
    assert query_of(lists["level"][1])[-1] == ("level", "1")


def test_times_are_ranges_of_the_readers_days(things: tuple[httpx.Client, Any]) -> None:
    client, collection = things
    before = datetime.datetime.now(datetime.UTC)
    lists = read(client, THINGS, Cookie="zone=Asia/Shanghai")
    after = datetime.datetime.now(datetime.UTC)
    names = ["All", "Today", "Past 7 days", "This month", "This year"]
    assert [one.text for one in lists["moment"]] == names
    (_, begin), (_, end) = query_of(lists["moment"][1])
    today = datetime.datetime.fromisoformat(begin)
    assert today <= after
    assert before < datetime.datetime.fromisoformat(end) == today + datetime.timedelta(days=1)
    collection.delete_many({})
    collection.insert_one({"moment": today})
    collection.insert_one({"moment": today - datetime.timedelta(days=800)})
    for link in lists["moment"][1:]:
        (_, begin), (_, end) = query_of(link)
        assert begin.endswith("T16:00:00Z")
        assert end.endswith("T16:00:00Z")
        assert len(Page(client.get(link["href"]).text).find("th", scope="row")) == 1
    chosen = read(client, lists["moment"][1]["href"].replace("/things/", "/things/table/facets"))
    assert "aria-current" in chosen["moment"][0].attributes or chosen  # in another zone's days
    days = read(client, THINGS, Cookie="zone=Asia/Shanghai")["day"]
    assert [len(value) for _, value in query_of(days[1])] == [10, 10]


def test_frequent_texts_are_counted_where_they_are_few(
    things: tuple[httpx.Client, Any],
) -> None:
    client, collection = things
    collection.delete_many({})
    markup = "<script>alert(1)</script>"
    rows = [{"text": "a"}] * 3 + [{"text": markup}] * 2 + [{}, {"text": None}, {"text": 7}]
    collection.insert_many([dict(row, aliased=1) for row in rows])
    page = client.get(THINGS, headers=SCRIPT).text
    assert markup not in page
    lists = read(client, THINGS)
    assert [one.text for one in lists["text"]] == ["All", "a", markup, "has no value"]
    assert query_of(lists["text"][3]) == [("text__exists", "false")]
    assert ">3<" in page
    collection.insert_many([{"text": f"text {number}"} for number in range(60)])
    assert "text" not in read(client, THINGS)


def test_counts_are_of_what_the_other_conditions_leave(
    things: tuple[httpx.Client, Any],
) -> None:
    client, collection = things
    collection.delete_many({})
    collection.insert_many(
        [{"text": "a", "texts": ["x", "x", "y"]}, {"text": "b", "texts": ["y"]}, {"text": "b"}]
    )
    lists = read(client, f"{THINGS}?text=a")
    assert [one.text for one in lists["text"]] == ["All", "b", "a"]
    assert [one.text for one in lists["texts"]] == ["All", "x", "y"]
    page = client.get(f"{THINGS}?text=b", headers=SCRIPT).text
    assert page.count('<span class="note">2</span>') == 1  # of `b` itself


def test_linked_documents_are_there_by_name(http: httpx.Client, database: Any) -> None:
    for name in ("students", "classes"):
        database[name].delete_many({})
    one, other = bson.ObjectId(), bson.ObjectId()
    database["classes"].insert_many([{"_id": one, "name": "Grade 1"}, {"_id": other, "name": "2"}])
    links = [bson.DBRef("classes", one), one, bson.DBRef("classes", other), None]
    database["students"].insert_many({"sno": n, "clas": link} for n, link in enumerate(links))
    lists = read(http, "/ui/students/table/facets")
    assert [one.text for one in lists["clas"]] == ["All", "Grade 1", "2", "has no value"]
    assert query_of(lists["clas"][1]) == [("clas", str(one))]
    assert len(Page(http.get(lists["clas"][1]["href"]).text).find("th", scope="row")) == 2
    database["students"].delete_many({})


def test_a_wrong_parameter_is_the_tables_to_tell(http: httpx.Client) -> None:
    assert http.get("/ui/users/table/facets?age=x&keyword=(", headers=SCRIPT).status_code == 200
    assert http.get("/ui/users/table/facets?age=x").status_code == 422


def test_unique_fields_have_no_list_and_there_are_not_too_many() -> None:
    for package in ("models", "tests.support.every_type"):
        for resource in discover(package).values():
            paths = [found.path for found in list_fields(resource)]
            assert len(paths) <= MAX_FACETS
            assert not {"_id", "email", "sno"} & set(paths)


def test_large_collections_are_not_counted(database: Any, monkeypatch: Any) -> None:
    settings: Any = type(
        "Settings",
        (),
        dict.fromkeys(
            ("QUERY_TIME_LIMIT_SECONDS", "COUNT_TIME_LIMIT_SECONDS", "PRIMARY_WAIT_SECONDS"), 5
        ),
    )
    documents = Documents(database["counted"], settings)
    documents.collection.delete_many({})
    documents.collection.insert_many([{"a": 1}, {"a": 1}, {"a": 2}])
    words: Any = {"may_be_list": False, "most": 1}
    found = count_frequencies(documents, {}, "a", **words)
    assert found is not None
    assert (found.values, found.distinct) == (((1, 2),), 2)
    work = {"input": {"$range": [0, 300_000]}, "initialValue": 0, "in": {"$add": ["$$this", 1]}}
    slow = {"$expr": {"$gte": [{"$reduce": work}, 0]}}
    monkeypatch.setattr(frequencies, "MILLISECONDS", 20)
    assert count_frequencies(documents, slow, "a", **words) is None
    monkeypatch.setattr(frequencies, "MOST_DOCUMENTS", 2)
    assert count_frequencies(documents, {}, "a", **words) is None


async def test_a_click_filters_and_the_lists_follow(page: Browser, users: Any) -> None:
    places = ("x", "x", "y")
    users.insert_many(
        {"name": place, "email": f"{n}@example.com", "age": n} for n, place in enumerate(places)
    )
    await page.goto("/ui/users/?sort=-age")
    value = page.locator("#facets").get_by_role("link", name="x", exact=True)
    await value.click()
    await expect(page).to_have_url("/ui/users/?sort=-age&name=x")
    await expect(page.locator("tbody tr")).to_have_count(2)
    await expect(page.locator("#facets [aria-current]").first).to_have_text("x")
    await expect(value).to_be_focused()
    await travel(page, "back")
    await expect(page.locator("tbody tr")).to_have_count(3)


async def test_a_cell_leads_to_only_these_and_not_these(page: Browser, users: Any) -> None:
    rows = [("Ada", 30), ("Bea", 30), ("Cai", None), ("Dai", "old")]
    users.insert_many({"name": n, "email": f"{n}@example.com", "age": age} for n, age in rows)
    await page.goto("/ui/users/?fields=name,age&sort=name")
    await expect(page.locator("#facets details").first).to_be_visible()  # nothing moves any more
    await page.get_by_role("cell", name="old").click()  # no filter finds what is of another type
    await expect(page.locator("#cell")).to_be_hidden()
    await page.get_by_role("cell", name="30", exact=True).first.click()
    await page.get_by_role("link", name="Not these").click()
    await expect(page).to_have_url("/ui/users/?fields=name%2Cage&sort=name&age__ne=30")
    await expect(page.locator("tbody tr")).to_have_count(2)
    await travel(page, "back")
    await expect(page.locator("tbody tr")).to_have_count(4)  # which the address had loaded anew
    await page.locator(".table").focus()
    for key in ("Enter", "ArrowRight", "ArrowDown", "ArrowDown", "Enter"):  # to the null
        await page.keyboard.press(key)
    await expect(page.locator("#cell-title")).to_contain_text("age: null")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url("/ui/users/?fields=name%2Cage&sort=name&age__exists=false")
    await expect(page.locator("tbody tr")).to_have_count(1)
