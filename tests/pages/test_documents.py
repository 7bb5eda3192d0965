"""One document: read, edited, made, duplicated and deleted by forms."""

import base64
import datetime
import html
import re
import uuid
from collections.abc import Iterator
from typing import Any

import bson
import httpx
import pytest
from bson.codec_options import CodecOptions
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Unavailable
from app.pages import addresses
from app.pages.packing import pack
from app.store.client import Database
from tests.support.accounts import ADDRESS, serve
from tests.support.drawing import some_and_many
from tests.support.filling import insert_raw, read_raw
from tests.support.forms import TYPE, Form, encode, faults, open_form, read_form
from tests.support.html import Page
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer

pytestmark = needs_mongod

DATABASE = "documents_of_pages"
UTC = datetime.UTC
KEY = bson.ObjectId("5f43a1b2c3d4e5f60718293a")
CODEC: CodecOptions[Any] = CodecOptions(
    tz_aware=True, uuid_representation=bson.binary.UuidRepresentation.STANDARD
)
HTML = {"Accept": "text/html"}
ADA = {"name": "Ada", "email": "ada@example.com", "age": 36}


@pytest.fixture(scope="module")
def typed(mongo_uri: str) -> Iterator[httpx.Client]:
    """A client of a server whose documents have fields of every type."""
    words = {"MONGO_URI": mongo_uri, "DB_NAME": DATABASE, "MODELS": "tests.support.every_type"}
    with LiveServer(**words) as live, httpx.Client(base_url=live.address, timeout=60) as client:
        client.cookies.set("zone", "Asia/Shanghai")
        yield client


@pytest.fixture(scope="module")
def stores(database: Any) -> Any:
    """The database of that server."""
    return database.client.get_database(DATABASE, codec_options=CODEC)


@pytest.fixture
def things(stores: Any) -> Any:
    stores["things"].delete_many({})
    return stores["things"]


LIMIT = 8192  # bytes of a body
MEMBERS = '''
from beanie import Document
from pydantic import Field


class Member(Document):
    """Has to say whether there is a note."""

    name: str
    note: str | None
    pin: str | None = Field(None, exclude=True)

    class Settings:
        name = "members"
'''


@pytest.fixture(scope="module")
def keys(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server with a model that requires null, and has a field that is not shown.

    Its bodies are small.
    """
    folder = tmp_path_factory.mktemp("members")
    (folder / "models").mkdir()
    (folder / "models" / "__init__.py").touch()
    (folder / "models" / "member.py").write_text(MEMBERS)
    words = {"MONGO_URI": mongo_uri, "DB_NAME": DATABASE, "BODY_LIMIT_MIB": str(LIMIT / 2**20)}
    with (
        LiveServer(folder, **words) as live,
        httpx.Client(base_url=live.address, timeout=60) as client,
    ):
        yield client


@pytest.fixture
def members(stores: Any) -> Any:
    stores["members"].delete_many({})
    return stores["members"]


def edit(http: httpx.Client, resource: str, key: Any = KEY, **words: Any) -> Form:
    return open_form(http, f"/ui/{resource}/{key}/edit", **words)


# --- opened and saved, nothing changes ---

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | st.sampled_from(
    ["", " ", "\n", "\r\n a\r", "\ta", "\0", "<script>", "{{7*7}}", "a" * 100, "\u202eabc", "'"]
)
MOMENTS = st.datetimes(
    datetime.datetime(1, 1, 3),  # noqa: DTZ001 - hypothesis adds the zone
    datetime.datetime(9999, 12, 29),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda one: one.replace(microsecond=one.microsecond // 1000 * 1000))
NUMBERS = st.integers(-(2**63), 2**63 - 1).map(bson.Int64)
ANY = st.recursive(
    st.none() | st.booleans() | TEXTS | NUMBERS | st.floats() | MOMENTS | st.binary(max_size=9)
    | st.uuids() | st.just(KEY) | st.decimals(places=2, allow_nan=False, min_value=-9,
                                              max_value=9).map(bson.Decimal128)
    | st.just(bson.Timestamp(1, 2)) | st.just(bson.Regex("a", "i")) | st.just(bson.MinKey()),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["a", "b.c", "/~", "x y", "0", "名"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
POINTS = st.fixed_dictionaries(
    {"x": st.floats(allow_nan=False)},
    optional={"y": st.floats(), "label": TEXTS | st.none(), "extra": ANY},
)
TREES: Any = st.deferred(
    lambda: st.fixed_dictionaries(
        {"name": TEXTS}, optional={"children": st.lists(TREES, max_size=2), "left": st.none()}
    )
)
KEYS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=5)
DAYS = st.dates().map(lambda day: datetime.datetime(day.year, day.month, day.day, tzinfo=UTC))
OF_KIND = {
    "text": TEXTS, "whole": NUMBERS, "real": st.floats(), "flag": st.booleans(), "moment": MOMENTS,
    "day": DAYS, "amount": st.sampled_from(["1.10", "1E+3", "-0"]).map(bson.Decimal128),
    "code": st.uuids(), "color": st.sampled_from(["red", "blue"]), "level": st.sampled_from([1, 9]),
    "ref": st.just(KEY), "data": st.binary(), "span": st.floats(0, 9e9), "anything": ANY,
    "either": TEXTS | NUMBERS, "texts": st.lists(TEXTS, max_size=3),
    "moments": st.lists(MOMENTS, max_size=2), "pair": st.just([1, "x"]),
    "grid": st.lists(st.lists(NUMBERS, max_size=2), max_size=2),
    "counts": st.dictionaries(KEYS, NUMBERS, max_size=3),
    "labels": st.dictionaries(KEYS, TEXTS, max_size=3),
    "points_by": st.dictionaries(KEYS, POINTS, max_size=2),
    "lists_by": st.dictionaries(KEYS, st.lists(NUMBERS, max_size=2), max_size=2),
    "free": st.dictionaries(KEYS, ANY, max_size=2), "point": POINTS,
    "points": st.lists(POINTS, max_size=3), "tree": TREES, "secret": TEXTS,
    "link": st.integers(1, 9).map(lambda key: bson.DBRef("numbered", key)),
    "links": st.lists(st.uuids().map(lambda key: bson.DBRef("coded", key)), max_size=2),
}  # fmt: skip
DOCUMENTS = st.fixed_dictionaries(
    {}, optional={name: one | st.none() for name, one in OF_KIND.items()} | {"unknown/~ 1": ANY}
)
STRANGE = st.dictionaries(st.sampled_from([*OF_KIND, "unknown"]), ANY, max_size=5)


def check(typed: httpx.Client, things: Any, document: Any) -> None:
    things.delete_many({})
    raw = bson.encode({"_id": KEY, **document}, codec_options=CODEC)
    insert_raw(things, raw)
    answer = edit(typed, "things").send(typed)
    assert answer.status_code == 303, faults(answer)
    assert answer.cookies["done"] == "unchanged"
    assert read_raw(things, {"_id": KEY}) == raw


test_a_form_that_nobody_touched_changes_nothing, test_it_often = some_and_many(
    given(document=DOCUMENTS | STRANGE), check, 15, 500
)


def check_other(typed: httpx.Client, things: Any, document: Any) -> None:
    """One field is changed in the form; all other bytes stay."""
    things.delete_many({})
    document = {"_id": KEY, "text": "before", **document}
    raw = bson.encode(document, codec_options=CODEC)
    insert_raw(things, raw)
    answer = edit(typed, "things").set("/text", "after").send(typed)
    assert answer.status_code == 303, faults(answer)
    expected = bson.encode({**document, "text": "after"}, codec_options=CODEC)
    assert read_raw(things, {"_id": KEY}) == expected


OTHERS = DOCUMENTS.map(lambda one: {name: value for name, value in one.items() if name != "text"})
test_only_what_was_typed_is_written, test_that_often = some_and_many(
    given(document=OTHERS), check_other, 10, 300
)

# --- null, empty and missing ---


def test_null_empty_and_missing_are_told_apart(typed: httpx.Client, things: Any) -> None:
    things.insert_one({"_id": KEY, "text": "a", "aliased": None, "otherName": ""})
    form = edit(typed, "things")
    assert form.get("state:/otherName") == "value"
    assert form.get("state:/word") == "missing"
    form.set("/text", "").send(typed)
    assert things.find_one()["text"] == ""
    form = edit(typed, "things").press(typed, "clear /text")
    assert form.get("state:/text") == "missing"
    form.send(typed)
    assert "text" not in things.find_one()
    form = edit(typed, "things").press(typed, "fill /text")
    form.send(typed)
    assert things.find_one()["text"] == ""
    form = edit(typed, "things").set("/otherName", "b").press(typed, "clear /otherName")
    form = form.press(typed, "reset /otherName")
    assert form.get("/otherName") == ""
    assert form.get("state:/otherName") == "value"


def test_values_of_every_kind_can_be_typed(typed: httpx.Client, things: Any) -> None:
    things.insert_one({"_id": KEY})
    code = uuid.UUID(int=7)
    typed_texts = {
        "/text": " a\r\nb ", "/whole": " 9223372036854775807 ", "/real": "1.50", "/flag": "false",
        "/moment": "2026-01-02T03:04:05.678", "/day": "2026-01-02", "/amount": "1.10",
        "/code": str(code), "/color": '"red"', "/level": "2", "/word": '"yes"', "/digit": "3",
        "/ref": str(KEY), "/data": base64.b64encode(b"\xff").decode(), "/span": "PT1H",
        "/anything": '{"a": [1.0, null]}', "/either": '"5"', "/grid": "[[1], []]",
    }  # fmt: skip
    form = edit(typed, "things")
    for name, text in typed_texts.items():
        form.set(name, text)
    answer = form.send(typed)
    assert answer.status_code == 303, faults(answer)
    stored = things.find_one()
    assert stored == {
        "_id": KEY, "text": " a\nb ", "whole": 2**63 - 1, "real": 1.5, "flag": False,
        "moment": datetime.datetime(2026, 1, 1, 19, 4, 5, 678000, UTC),
        "day": datetime.datetime(2026, 1, 2, tzinfo=UTC), "amount": bson.Decimal128("1.10"),
        "code": code, "color": "red", "level": 2, "word": "yes", "digit": 3, "ref": KEY,
        "data": b"\xff", "span": 3600.0, "anything": {"a": [1.0, None]}, "either": "5",
        "grid": [[1], []],
    }  # fmt: skip


def test_rows_are_added_moved_and_removed_by_buttons(typed: httpx.Client, things: Any) -> None:
    point = {"x": 1.0, "y": 2.0, "label": "first"}
    things.insert_one({"_id": KEY, "points": [point, {"x": 3.0}], "counts": {"a": 1, "b": 2}})
    form = edit(typed, "things").set("/text", "typed").press(typed, "add /points")
    form.set("/points/2/x", "5").set("/points/2/label", "last")
    form = form.press(typed, "up /points 2").press(typed, "drop /points 0")
    assert form.get("/text") == "typed"
    assert [form.get("/points/0/x"), form.get("/points/1/x")] == ["5", "3.0"]
    form = form.press(typed, "drop /counts 0").press(typed, "add /counts")
    form.set("key:/counts/1", "c/d").set("/counts/1", "7").set("key:/counts/0", "z")
    assert form.send(typed).status_code == 303
    stored = things.find_one()
    assert stored["points"] == [{"x": 5.0, "y": 0.5, "label": "last"}, {"x": 3.0}]
    assert stored["counts"] == {"z": 2, "c/d": 7}
    assert stored["text"] == "typed"


def test_lists_can_be_empty_or_missing(typed: httpx.Client, things: Any) -> None:
    things.insert_one({"_id": KEY, "wholes": [1]})
    form = edit(typed, "things").press(typed, "drop /wholes 0")
    form = form.press(typed, "fill /colors")
    assert form.send(typed).status_code == 303
    assert {"wholes": [], "colors": []}.items() <= things.find_one().items()
    assert edit(typed, "things").press(typed, "clear /wholes").send(typed).status_code == 303
    assert "wholes" not in things.find_one()


def test_a_model_that_is_nested_in_itself_is_filled_in(typed: httpx.Client, things: Any) -> None:
    things.insert_one({"_id": KEY})
    form = edit(typed, "things").press(typed, "fill /tree").set("/tree/name", "root")
    form = form.press(typed, "add /tree/children").set("/tree/children/0/name", "leaf")
    form = form.press(typed, "fill /tree/left").set("/tree/left/name", "left")
    assert form.send(typed).status_code == 303
    none = {"children": [], "left": None}
    children, left = [{"name": "leaf", **none}], {"name": "left", **none}
    assert things.find_one()["tree"] == {"name": "root", "children": children, "left": left}


# --- what is wrong, and what others did meanwhile ---


def test_what_is_wrong_is_said_beside_its_field_and_nothing_typed_is_lost(
    http: httpx.Client, users: Any
) -> None:
    users.insert_one({"_id": KEY, **ADA, "profile": {"addresses": [{"city": "London"}]}})
    form = edit(http, "users").set("/age", "old").set("/name", "").set("/email", "ada")
    form.set("/profile/addresses/0/city", "Paris")
    answer = form.send(http)
    assert answer.status_code == 422
    page = Page(answer.text)
    invalid = [one["id"] for one in page.elements if one.attributes.get("aria-invalid")]
    assert invalid == ["/name", "/email", "/age"]
    assert [one["id"] for one in page.elements if "autofocus" in one.attributes] == ["/name"]
    links = [one["href"] for one in page.elements if one.attributes.get("href", "")[:1] == "#"]
    assert links == ["#main", "#/name", "#/email", "#/age"]
    form = read_form(answer)
    typed = [form.get(name) for name in ("/age", "/name", "/email", "/profile/addresses/0/city")]
    assert typed == ["old", "", "ada", "Paris"]
    form.set("/age", "37").set("/name", "Ada L.").set("/email", "ada@example.org").send(http)
    address = {"street": None, "city": "Paris", "zipcode": None, "country": None}
    expected = {"name": "Ada L.", "email": "ada@example.org", "age": 37}
    assert users.find_one() == {"_id": KEY, **expected, "profile": {"addresses": [address]}}


def test_a_value_that_must_be_unique_is_told_at_its_field(http: httpx.Client, users: Any) -> None:
    users.insert_many([{"_id": KEY, **ADA}, {**ADA, "email": "bob@example.com"}])
    answer = edit(http, "users").set("/email", "bob@example.com").send(http)
    assert answer.status_code == 409
    assert 'aria-invalid="true"' in answer.text
    assert "Another document has the same email" in answer.text


def test_json_is_checked(typed: httpx.Client, things: Any) -> None:
    things.insert_one({"_id": KEY})
    answer = edit(typed, "things").set("/anything", "{oops").send(typed)
    assert answer.status_code == 422
    assert "This must be JSON" in answer.text
    assert read_form(answer).get("/anything") == "{oops"


def test_what_is_wrong_inside_of_json_is_told_with_its_place(
    typed: httpx.Client, things: Any
) -> None:
    things.insert_one({"_id": KEY})
    answer = edit(typed, "things").set("/grid", '[[1], ["x"]]').send(typed)
    assert answer.status_code == 422
    assert "1.0: Input should be a valid integer" in answer.text


def test_a_conflict_shows_both_sides_and_a_person_picks(http: httpx.Client, users: Any) -> None:
    users.insert_one({"_id": KEY, **ADA, "profile": {"bio": "old"}})
    form = edit(http, "users").set("/name", "mine").set("/age", "40").set("/profile/bio", "mine")
    users.update_one({}, {"$set": {"name": "theirs", "profile.age": 5, "extra": 1}})
    answer = form.send(http)
    assert answer.status_code == 412
    radios = [one for one in Page(answer.text).elements if one.attributes.get("type") == "radio"]
    asked = [one["aria-label"].partition(":")[0] for one in radios[::2]]
    assert asked == ["name", "age", "profile › bio", "profile › age", "extra"]
    form = read_form(answer)
    assert form.get("pick:1") == "mine"  # only mine is another
    assert "pick:0" not in form.names()
    unpicked = form.send(http, "resolve")
    assert unpicked.status_code == 412
    assert "Choose one of both" in unpicked.text
    assert users.find_one()["name"] == "theirs"
    form = read_form(unpicked).set("pick:0", "mine")
    assert form.send(http, "resolve").status_code == 303
    assert users.find_one() == {
        "_id": KEY, **ADA, "name": "mine", "age": 40, "extra": 1,
        "profile": {"bio": "mine", "age": 5},
    }  # fmt: skip


def test_after_a_conflict_one_may_go_on_editing(http: httpx.Client, users: Any) -> None:
    users.insert_one({"_id": KEY, **ADA})
    form = edit(http, "users").set("/name", "mine").set("/age", "none")
    users.update_one({}, {"$set": {"name": "theirs"}})
    form = read_form(form.send(http)).set("pick:0", "theirs")
    answer = form.send(http, "resolve")
    assert answer.status_code == 422  # the age that was typed
    form = read_form(answer)
    assert (form.get("/name"), form.get("/age")) == ("theirs", "none")
    assert form.set("/age", "41").send(http).status_code == 303
    assert users.find_one() == {"_id": KEY, **ADA, "name": "theirs", "age": 41}


def test_a_document_that_went_meanwhile_is_told_and_nothing_is_lost(
    http: httpx.Client, users: Any
) -> None:
    users.insert_one({"_id": KEY, **ADA})
    form = edit(http, "users").set("/name", "mine")
    users.delete_many({})
    answer = form.send(http)
    assert answer.status_code == 404
    assert read_form(answer).get("/name") == "mine"


# --- null where the model needs it, excluded fields, what another program stored ---


def test_a_null_that_a_model_requires_is_stored(keys: httpx.Client, members: Any) -> None:
    members.insert_one({"_id": KEY, "name": "Ada", "note": "x", "pin": "secret"})
    form = edit(keys, "members").press(keys, "null /note")
    assert form.send(keys).status_code == 303
    assert members.find_one() == {"_id": KEY, "name": "Ada", "note": None, "pin": "secret"}


def test_a_document_that_is_too_large_is_told_and_nothing_typed_is_lost(
    keys: httpx.Client, members: Any
) -> None:
    members.insert_one({"_id": KEY, "name": "Ada", "note": "x"})
    for address in (f"/ui/members/{KEY}/edit", "/ui/members/new"):
        long = "名" * (LIMIT // 3 + 1)
        form = open_form(keys, address).set("/name", "Bob").set("/note", long)
        answer = form.send(keys)
        assert answer.status_code == 413
        assert "larger than the 0.0078125 MiB" in answer.text
        form = read_form(answer)
        assert (form.get("/name"), form.get("/note")) == ("Bob", long)
        # Whatever JSON may have, however a form writes it.
        fits = long[: LIMIT // 3 - 20]
        assert form.set("/note", fits).send(keys).status_code == 303
    assert [(one["name"], one["note"]) for one in members.find()] == [("Bob", fits)] * 2


def test_what_is_excluded_is_written_and_never_shown(keys: httpx.Client, members: Any) -> None:
    members.insert_one({"_id": KEY, "name": "Ada", "note": "x", "pin": "secret"})
    assert "secret" not in keys.get(f"/ui/members/{KEY}", headers=HTML).text
    form = edit(keys, "members")
    assert form.get("/pin") == ""
    assert form.send(keys).status_code == 303
    assert members.find_one()["pin"] == "secret"
    assert edit(keys, "members").set("/pin", "new").send(keys).status_code == 303
    assert members.find_one()["pin"] == "new"
    form = edit(keys, "members").press(keys, "null /pin")
    assert form.press(keys, "reset /pin").send(keys).status_code == 303
    assert members.find_one()["pin"] == "new"
    assert form.send(keys).status_code == 303
    assert members.find_one().get("pin") is None


def test_a_page_shows_all_that_is_stored(typed: httpx.Client, things: Any, stores: Any) -> None:
    stores["numbered"].delete_many({})
    stores["numbered"].insert_one({"_id": 7, "name": "seven"})
    link = bson.DBRef("numbered", 7)
    stored = {"_id": KEY, "text": "<b>", "link": link, "stranger": {"a": [1]}, "secret": "pssst"}
    stored |= {"code": uuid.UUID(int=7), "data": b"ab"}
    things.insert_one({**stored, "moment": datetime.datetime(2026, 1, 2, tzinfo=UTC)})
    text = typed.get(f"/ui/things/{KEY}", headers=HTML).text
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    assert "pssst" not in text
    assert "not in the model" in text
    assert "<code>00000000-0000-0000-0000-000000000007</code>" in text
    assert "<code>YWI=</code>" in text
    assert '<a href="/ui/numbered/7">seven</a>' in text
    back = typed.get("/ui/numbered/7", headers=HTML).text
    assert 'href="/ui/things/?link=7"' in back
    assert "1 document" in back


@pytest.mark.parametrize("key", ["a/b", "中文", "new", "import", "1", "?", "%2F"])
def test_every_key_has_its_screens(typed: httpx.Client, stores: Any, key: str) -> None:
    stores["named"].delete_many({})
    stores["named"].insert_one({"_id": key})
    (link,) = re.findall(
        r'<th scope="row"><a href="([^"]+)"', typed.get("/ui/named/", headers=HTML).text
    )
    assert typed.get(link, headers=HTML).status_code == 200
    form = open_form(typed, f"{link}/edit").set("/name", "typed")
    assert form.send(typed).headers["location"] == link
    assert stores["named"].find_one() == {"_id": key, "name": "typed"}
    assert open_form(typed, f"{link}/delete").send(typed, "").status_code == 303
    assert stores["named"].find_one() is None


def test_state_that_nobody_changed_since_is_told(http: httpx.Client, users: Any) -> None:
    users.insert_one({"_id": KEY, **ADA})
    (again,) = re.findall(
        r'href="([^"]+etag=[^"]+)"', http.get(f"/ui/users/{KEY}", headers=HTML).text
    )
    again = html.unescape(again)
    assert "nobody has changed it" in http.get(again, headers=HTML).text
    users.update_one({}, {"$set": {"age": 1}})
    assert "it was changed" in http.get(again, headers=HTML).text


# --- new ones, duplicates, deletes ---


def test_a_new_document_is_made(http: httpx.Client, users: Any) -> None:
    form = open_form(http, "/ui/users/new")
    answer = form.set("/name", "Ada").send(http)
    assert answer.status_code == 422
    assert "This field is required." in answer.text
    form = read_form(answer).press(http, "fill /profile").press(http, "add /profile/addresses")
    form.set("/email", "ada@example.com").set("/profile/addresses/0/city", "伦敦")
    answer = form.send(http)
    assert answer.status_code == 303
    stored = users.find_one()
    assert answer.headers["location"] == f"/ui/users/{stored['_id']}"
    address = {"street": None, "city": "伦敦", "zipcode": None, "country": None}
    profile = {"bio": None, "age": None, "addresses": [address]}
    assert {"name": "Ada", "age": None, "profile": profile}.items() <= stored.items()
    shown = http.get(answer.headers["location"], headers=HTML)
    assert "The document is saved." in shown.text
    assert "The document is saved." not in http.get(answer.headers["location"], headers=HTML).text


def test_a_duplicate_has_all_but_its_key(http: httpx.Client, users: Any) -> None:
    users.insert_one({"_id": KEY, **ADA, "profile": {"bio": "a\nb", "extra": 1}, "extra": 2})
    form = open_form(http, f"/ui/users/new?from={KEY}")
    assert form.get("/name") == "Ada"
    assert form.send(http).status_code == 409
    assert form.set("/email", "other@example.com").send(http).status_code == 303
    (stored,) = users.find({"_id": {"$ne": KEY}}, {"_id": 0})
    profile = {"bio": "a\nb", "age": None, "addresses": []}
    assert stored == {**ADA, "email": "other@example.com", "profile": profile}


def test_a_key_that_is_not_made_by_itself_is_asked_for(typed: httpx.Client, stores: Any) -> None:
    stores["numbered"].delete_many({})
    form = open_form(typed, "/ui/numbered/new").set("/_id", "12").set("/name", "twelve")
    assert form.send(typed).headers["location"] == "/ui/numbered/12"
    assert stores["numbered"].find_one() == {"_id": 12, "name": "twelve"}


def test_what_others_link_to_is_not_deleted(http: httpx.Client, database: Any) -> None:
    classes, students = database["classes"], database["students"]
    for one in (classes, students):
        one.delete_many({})
    classes.insert_one({"_id": KEY, "name": "1A"})
    students.insert_one({"sno": 1001, "name": "Ada", "clas": bson.DBRef("classes", KEY)})
    form = open_form(http, f"/ui/classes/{KEY}/delete")
    answer = form.send(http, "")
    assert answer.status_code == 409
    assert "1 document of &#39;students&#39;" in answer.text
    students.delete_many({})
    classes.update_one({}, {"$set": {"name": "1B"}})
    answer = form.send(http, "")
    assert answer.status_code == 412  # it is another one than was shown
    assert read_form(answer).send(http, "").headers["location"] == "/ui/classes/"
    assert classes.find_one() is None


def test_links_are_found_by_name(http: httpx.Client, database: Any) -> None:
    classes, students = database["classes"], database["students"]
    for one in (classes, students):
        one.delete_many({})
    classes.insert_one({"_id": KEY, "name": "高一（3）班"})
    students.insert_one({"_id": KEY, "sno": 1001, "name": "Ada"})
    form = edit(http, "students").set("/clas", "（3）").press(http, "find /clas")
    assert ("do", f"pick /clas {KEY}") in form.buttons
    form = form.press(http, f"pick /clas {KEY}")
    assert form.send(http).status_code == 303
    assert students.find_one()["clas"] == bson.DBRef("classes", KEY)
    options = http.get("/ui/classes/pick?q=3", headers=HTML).text
    assert options.strip() == f'<option value="{KEY}">高一（3）班</option>'
    for one in (classes, students):
        one.delete_many({})


def test_a_resource_that_is_only_read_has_no_forms(typed: httpx.Client, stores: Any) -> None:
    stores["fixed"].delete_many({})
    stores["fixed"].insert_one({"_id": KEY, "name": "as it is"})
    text = typed.get(f"/ui/fixed/{KEY}", headers=HTML).text
    assert "as it is" in text
    assert "Edit" not in text
    assert typed.get(f"/ui/fixed/{KEY}/edit", headers=HTML).status_code == 404


# --- with rights ---


async def test_nothing_is_offered_or_shown_beyond_the_rights_of_the_caller() -> None:
    rules = {
        "users": {
            "read": {"hide": ["age"]},
            "update": {"fields": ["name", "profile.bio"]},
        },
        "classes": {"read": True},
    }
    async with serve() as served:
        served.database["docsheet.roles"].insert_one({"name": "clerk", "rules": rules})
        served.add("clerk", "clerk")
        profile = {"bio": "old", "age": 9}
        served.database["users"].insert_one({"_id": KEY, **ADA, "profile": profile})
        headers = {**await served.bearer("clerk"), **HTML, "Origin": ADDRESS}
        async with served.client(**headers) as client:
            shown = await client.get(f"/ui/users/{KEY}")
            assert "/edit" in shown.text
            assert "/delete" not in shown.text
            assert "from=" not in shown.text
            assert ">36<" not in shown.text
            assert (await client.get(f"/ui/users/{KEY}/delete")).status_code == 403
            assert (await client.get("/ui/users/new")).status_code == 403
            opened = await client.get(f"/ui/users/{KEY}/edit")
            form = read_form(opened)
            fields = [name for name in form.names() if name.startswith("/")]
            assert fields == ["/name", "/profile/bio"]
            assert opened.text.count(">age<") == 1  # that of the profile, which may be read
            form.set("/name", "Ada L.").set("/profile/bio", "new")
            data = encode([*form.pairs, ("do", "save")])
            answer = await client.post(f"/ui/users/{KEY}/edit", content=data, headers=TYPE)
        assert answer.status_code == 303, faults(answer)
        stored = served.database["users"].find_one({})
        assert stored == {"_id": KEY, **ADA, "name": "Ada L.", "profile": {"bio": "new", "age": 9}}


async def test_no_screen_of_a_collection_is_taken_for_a_document() -> None:
    async with serve() as served:
        steps = [route.path.split("/")[3:] for route in served.app.paths.routes
                 if route.path.startswith("/ui/users/")]  # fmt: skip
    assert {step[0] for step in steps} - {"", "{key}"} == set(addresses.SCREENS)


async def test_a_database_that_is_away_leaves_what_was_typed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise Unavailable("The database can't be reached.")

    async with serve() as served:
        served.database["classes"].insert_one({"_id": KEY, "name": "1A"})
        headers = {**await served.bearer("root"), **HTML, "Origin": ADDRESS}
        async with served.client(**headers) as client:
            form = read_form(await client.get(f"/ui/classes/{KEY}/edit")).set("/name", "typed")
            monkeypatch.setattr(Database, "run", fail)
            data = encode([*form.pairs, ("do", "save")])
            answer = await client.post(f"/ui/classes/{KEY}/edit", content=data, headers=TYPE)
            monkeypatch.undo()
            assert answer.status_code == 503
            assert "Try again in" in answer.text
            data = encode([*read_form(answer).pairs, ("do", "save")])
            answer = await client.post(f"/ui/classes/{KEY}/edit", content=data, headers=TYPE)
        assert answer.status_code == 303
        assert served.database["classes"].find_one({}) == {"_id": KEY, "name": "typed"}


@pytest.mark.parametrize("text", ["9" * 30, "1e999"])
def test_a_number_that_no_document_can_hold_survives_a_conflict(
    typed: httpx.Client, things: Any, text: str
) -> None:
    things.insert_one({"_id": KEY, "real": 1.0})
    form = edit(typed, "things").set("/real", text).set("/anything", f"[{text}]")
    things.update_one({}, {"$set": {"text": "theirs"}})
    answer = form.send(typed)
    assert answer.status_code == 412
    assert text in answer.text
    form = read_form(answer).press(typed, "go on")
    assert form.get("/real") == text
    assert form.send(typed).status_code == 422


def test_a_form_that_is_none_of_ours_is_refused(http: httpx.Client, users: Any) -> None:
    users.insert_one({"_id": KEY, **ADA})
    for original in ("", "no", "eJyrVqqqVrJSUKpV0lFQykxRslIwNKgFADZ1BJg="):
        data = encode([("original", original[:20]), ("etag", "x"), ("zone", "nowhere")])
        answer = http.post(f"/ui/users/{KEY}/edit", content=data, headers=TYPE)
        assert answer.status_code == 400
    form = edit(http, "users")
    form.buttons.append(("do", "up /name 1"))
    assert form.send(http, "up /name 1").status_code == 400


def test_a_zone_that_is_none_is_overlooked(http: httpx.Client) -> None:
    assert http.get("/ui/users/", headers={"Cookie": "zone=nowhere"}).status_code == 200


def test_a_link_may_be_typed_as_what_the_document_is_called(
    http: httpx.Client, database: Any
) -> None:
    classes, students = database["classes"], database["students"]
    for one in (classes, students):
        one.delete_many({})
    classes.insert_many([{"_id": KEY, "name": "1A"}, {"name": "1AB"}])
    students.insert_one({"_id": KEY, "sno": 1001, "name": "Ada"})
    assert edit(http, "students").set("/clas", "1A ").send(http).status_code == 303
    assert students.find_one()["clas"] == bson.DBRef("classes", KEY)
    answer = edit(http, "students").set("/clas", "1").send(http)
    assert answer.status_code == 422
    assert ("do", f"pick /clas {KEY}") in read_form(answer).buttons
    assert "This names no single document; choose one of those that are found" in answer.text
    for one in (classes, students):
        one.delete_many({})


def test_an_open_model_takes_other_fields(typed: httpx.Client, stores: Any) -> None:
    stores["open"].delete_many({})
    stores["open"].insert_one({"_id": KEY, "name": "Ada", "more": {"a": 1}, "less": 2})
    form = edit(typed, "open").press(typed, "drop / 1").press(typed, "add /")
    form.set("key://1", "new").set("//1", "[1]").set("//0", '{"a": 2}')
    answer = form.send(typed)
    assert answer.status_code == 303, faults(answer)
    assert stores["open"].find_one() == {"_id": KEY, "name": "Ada", "more": {"a": 2}, "new": [1]}


def test_a_strict_model_gets_numbers_and_dates(typed: httpx.Client, stores: Any) -> None:
    stores["strict"].delete_many({})
    form = open_form(typed, "/ui/strict/new").set("/name", "Ada").set("/age", "36")
    answer = form.set("/when", "2026-01-02T03:04").send(typed)
    assert answer.status_code == 303, faults(answer)
    when = datetime.datetime(2026, 1, 1, 19, 4, tzinfo=UTC)
    expected = {"name": "Ada", "age": 36, "when": when, "size": 1.5, "tags": ["new"]}
    assert stores["strict"].find_one({}, {"_id": 0}) == expected


def test_a_document_with_the_name_of_a_screen_is_duplicated(
    typed: httpx.Client, stores: Any
) -> None:
    stores["named"].delete_many({})
    stores["named"].insert_one({"_id": "new", "name": "first"})
    shown = typed.get("/ui/named/%22new%22", headers=HTML).text
    assert 'href="/ui/named/new?from=new"' in shown
    form = open_form(typed, "/ui/named/new?from=new").set("/_id", "copy").set("/name", "second")
    assert form.send(typed).headers["location"] == "/ui/named/copy"


# --- whatever is sent, it is answered ---

JSONS: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | TEXTS | st.just(1.5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["a", "", "$x", "x.y", "0", "x", "name"]), inner, max_size=2
        )
    ),
    max_leaves=5,
)
NAMES = st.builds(
    lambda prefix, name, suffix: f"{prefix}/{name}{suffix}",
    st.sampled_from(["", "state:", "rows:", "was:", "key:"]),
    st.sampled_from([*OF_KIND]),
    st.sampled_from(["", "/0", "/1/x", "/0/children", "/0/0"]),
)
SENT = st.sampled_from(["", "value", "missing", "null", "3", "99999999", "x", "[", "-1", "😀"])
BUTTONS = st.sampled_from(["save", "resolve", "go on", ""]) | st.builds(
    lambda word, name, rest: f"{word} /{name}{rest}",
    st.sampled_from(["add", "up", "down", "drop", "clear", "null", "fill", "reset", "find"]),
    st.sampled_from([*OF_KIND]),
    st.sampled_from(["", " 0", " 1", " x", "/0", "/0 1"]),
)


def check_odd(
    typed: httpx.Client, things: Any, original: Any, odd: Any, button: str, path: str
) -> None:
    things.replace_one({"_id": KEY}, {"points": [{"x": 1.0}]}, upsert=True)
    form = edit(typed, "things")
    pairs = [pair for pair in form.pairs if pair[0] != "original"]
    pairs += [("original", pack(original)), ("do", button), *odd]
    answer = typed.post(f"/ui/things/{path}", content=encode(pairs), headers=TYPE | HTML)
    assert answer.status_code < 500


test_odd_forms_are_answered, test_odd_forms_often = some_and_many(
    given(
        original=st.dictionaries(st.sampled_from(["_id", *OF_KIND]), JSONS, max_size=6),
        odd=st.lists(st.tuples(NAMES, SENT), max_size=8),
        button=BUTTONS,
        path=st.sampled_from([f"{KEY}/edit", "new"]),
    ),
    check_odd,
    10,
    500,
)
