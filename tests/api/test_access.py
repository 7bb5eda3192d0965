"""What a caller reads by its rights: through every door the same fields and the same documents."""

import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from random import Random
from typing import Any

import bson
import openpyxl
import pytest

from app.api.callers import EVERYONE, Caller
from app.query.compile import Compilers
from app.resources.registry import discover
from app.resources.views import EVERYTHING, WHOLE, Rights, Rule, Views
from app.store import joins
from tests.support.callers import Server, caller_with, serve
from tests.support.packages import served

MODELS = """
import typing

from beanie import Document, Indexed, Link
from pydantic import BaseModel, Field


class Harbour(Document):
    name: str
    dues: int = 0

    class Settings:
        name = "harbours"


class Engine(BaseModel):
    maker: str = ""
    serial: str = ""


class Visit(BaseModel):
    harbour: Link[Harbour] | None = None
    note: str = ""
    paid: str = ""


class Boat(Document):
    name: str
    kind: str = "sail"
    price: str = ""
    crew: typing.Annotated[int, Indexed()] = 0
    engine: Engine = Engine()
    visits: list[Visit] = []
    berth: Link[Harbour] | None = None
    seen_by: list[Link["Boat"]] = []
    password: str = Field("", exclude=True)

    class Settings:
        name = "boats"

    class Resource:
        search = ["name", "price", "engine.serial"]
        columns = ["name", "price:Cost", "engine.serial", "visits", "berth.name", "berth.dues"]
        sort = "-price"
"""
N, S = bson.ObjectId("a" * 24), bson.ObjectId("b" * 24)  # of harbours
A, B, C = (bson.ObjectId(letter * 24) for letter in "cde")  # of boats
NORTH = {"_id": N, "name": "North", "dues": 7100}
SOUTH = {"_id": S, "name": "South", "dues": 7200}
BOATS = [
    {
        "_id": key, "name": name, "kind": kind, "price": f"price-{name}", "crew": crew,
        "engine": {"maker": "Volvo", "serial": f"serial-{name}"},
        "visits": [
            {"harbour": bson.DBRef("harbours", where), "note": "n", "paid": f"paid-{name}"}
        ],
        "berth": bson.DBRef("harbours", where),
        "seen_by": [bson.DBRef("boats", A), bson.DBRef("boats", C)],
        "password": f"password-{name}",
    }
    for key, name, kind, crew, where in (
        (A, "Ada", "sail", 1, N), (B, "Bea", "sail", 2, S), (C, "Cleo", "steam", 3, S),
    )
]  # fmt: skip
HIDDEN = ("price", "engine.serial", "visits.paid", "berth")
WORDS = ("price", "serial", "paid", "berth", "password")  # what nobody may read of any answer
DOORS = [  # every door through which a boat is read
    "/boats/", f"/boats/{A}", "/boats/?fields=name,engine,visits", "/boats/?expand=seen_by",
    f"/boats/{A}?expand=seen_by,visits.harbour", f"/boats/{A}/boats",
    f"/harbours/{N}/boats.visits.harbour", "/boats/?sort=name&limit=1", "/boats/?keyword=a",
    "/boats/export/csv", "/boats/export/ndjson", "/boats/export/json", "/boats/export/csv?limit=1",
    "/boats/export/csv?columns=name,engine,visits,seen_by.name,seen_by.engine",
    "/boats/export/ndjson?columns=name,engine,visits,seen_by.visits,seen_by.engine",
    "/boats/export/csv?unwind=visits", f"/boats/{A}/boats/export/csv", "/openapi.json",
]  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    for _ in served(tmp_path_factory.mktemp("access"), "models_of_access", {"boats": MODELS}):
        yield "models_of_access"


@pytest.fixture(params=["mock", pytest.param("mongod", marks=pytest.mark.mongod)])
async def server(models: str, request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    uri = request.getfixturevalue("mongo_uri") if request.param == "mongod" else ""
    async with serve(models, uri) as one:
        await one.store("harbours", NORTH, SOUTH)
        await one.store("boats", *BOATS)
        yield one


@pytest.fixture
async def real(models: str, mongo_uri: str) -> AsyncIterator[Server]:
    async with serve(models, mongo_uri) as one:
        await one.store("harbours", NORTH, SOUTH)
        await one.store("boats", *BOATS)
        yield one


def reader(harbours: Rights | None = None, **rule: Any) -> Caller:
    """Who may read and export boats by this rule, and harbours."""
    boats = Rights(read=Rule(**rule), export=True)
    every = Rights(read=WHOLE, export=True)
    return caller_with({"boats": boats, "harbours": harbours or every})


BLIND = reader(hide=HIDDEN)
SOME = reader(fields=("name", "kind", "crew", "engine.maker", "visits.note", "visits.harbour",
                      "seen_by"))  # fmt: skip
SAIL = reader(where=(("kind", "sail"),))
NORTHERN = reader(where=(("berth.name", "North"),))


async def names(server: Server, caller: Caller, address: str) -> list[str]:
    answer = await server.ask(caller, address)
    assert answer.status_code == 200, answer.text
    return [document["name"] for document in answer.json()]


async def refused(server: Server, caller: Caller, address: str) -> str:
    """The one fault of a 422."""
    answer = await server.ask(caller, address)
    assert answer.status_code == 422, (address, answer.text)
    return str(answer.json()["errors"][0]["detail"])


# --- fields --------------------------------------------------------------------------------------


@pytest.mark.parametrize("caller", [BLIND, SOME], ids=["hide", "fields"])
async def test_a_hidden_field_is_in_no_answer(server: Server, caller: Caller) -> None:
    for door in DOORS:
        answer = await server.ask(caller, door)
        assert answer.status_code == 200, (door, answer.text)
        whole = (await server.ask(EVERYONE, door)).text
        assert any(word in whole for word in WORDS), door
        assert not [word for word in WORDS if word in answer.text], (door, answer.text)


async def test_a_workbook_has_no_hidden_field(server: Server) -> None:
    answer = await server.ask(BLIND, "/boats/export/xlsx?columns=name,visits,engine")
    book = openpyxl.load_workbook(io.BytesIO(answer.content))
    cells = [str(cell) for row in book.active.iter_rows(values_only=True) for cell in row]  # type: ignore[union-attr]
    assert not [word for word in WORDS if any(word in cell for cell in cells)], cells


async def test_what_is_not_hidden_is_as_it_was(server: Server) -> None:
    whole = (await server.ask(EVERYONE, f"/boats/{B}")).json()
    seen = (await server.ask(BLIND, f"/boats/{B}")).json()
    for name in ("price", "berth"):
        del whole[name]
    del whole["engine"]["serial"], whole["visits"][0]["paid"]
    assert seen == whole


@pytest.mark.parametrize(
    "query",
    [
        "price=x", "price__startswith=p", "price__exists=true", "engine.serial=x", "berth={key}",
        "visits.paid=x", "visits.paid__exists=false", "berth.name=North", "berth.dues__gt=1",
        "sort=price", "sort=-engine.serial", "sort=berth.name", "fields=price",
        "fields=name,engine.serial", "expand=berth", "seen_by.price=x", "seen_by.engine.serial=x",
        "seen_by.berth.name=x", "expand=seen_by.berth", "password=x", "price__in=a,b",
    ],
)  # fmt: skip
@pytest.mark.parametrize("caller", [BLIND, SOME], ids=["hide", "fields"])
async def test_a_hidden_field_is_refused_as_one_that_is_not_there(
    server: Server, caller: Caller, query: str
) -> None:
    asked = query.format(key=N)
    path = asked.partition("=")[0] if asked.partition("=")[0] not in (
        "sort", "fields", "expand",
    ) else asked.partition("=")[2].lstrip("-").rpartition(",")[2]  # fmt: skip
    renamed = asked.replace(path, path.replace("price", "prize").replace("serial", "zerial"))
    detail = await refused(server, caller, f"/boats/?{asked}")
    if "prize" in renamed or "zerial" in renamed:
        other = await refused(server, caller, f"/boats/?{renamed}")
        plain = other.replace("prize", "price").replace("zerial", "serial")
        assert detail == plain
    hints = detail.partition("Did you mean")[2] + detail.partition("nearest known name")[2]
    assert not [word for word in WORDS if word in hints], detail


@pytest.mark.parametrize("name", ["columns=price", "columns=engine.serial", "columns=berth.name",
                                  "columns=visits.paid", "columns=seen_by.price", "unwind=price",
                                  "columns=visits.0.paid", "columns=berth", "sort=price",
                                  "price=x"])  # fmt: skip
async def test_an_export_has_no_hidden_field(server: Server, name: str) -> None:
    detail = await refused(server, BLIND, f"/boats/export/csv?{name}")
    hints = detail.partition("Did you mean")[2] + detail.partition("nearest known name")[2]
    assert not [word for word in WORDS if word in hints], detail


async def test_the_columns_of_a_model_are_those_that_are_seen(server: Server) -> None:
    answer = await server.ask(BLIND, "/boats/export/csv?limit=1")
    assert answer.text.splitlines()[0] == "name,visits"
    assert (await server.ask(EVERYONE, "/boats/export/csv?limit=1")).text.splitlines()[0] == (
        "name,Cost,engine.serial,visits,berth.name,berth.dues"
    )


async def test_a_keyword_and_the_own_sort_tell_nothing_of_hidden_fields(server: Server) -> None:
    assert await names(server, EVERYONE, "/boats/") == ["Cleo", "Bea", "Ada"]
    assert await names(server, BLIND, "/boats/") == ["Ada", "Bea", "Cleo"]
    assert await names(server, EVERYONE, "/boats/?keyword=serial-Ada") == ["Ada"]
    assert await names(server, BLIND, "/boats/?keyword=serial-Ada") == []
    assert await names(server, BLIND, "/boats/?keyword=ada") == ["Ada"]


async def test_who_sees_no_searched_field_has_no_keyword(server: Server) -> None:
    detail = await refused(server, reader(fields=("kind",)), "/boats/?keyword=a")
    assert "no text field to search" in detail


async def test_a_hidden_link_has_no_list_of_what_links_here(server: Server) -> None:
    for address in (f"/harbours/{N}/boats.berth", f"/harbours/{N}/boats.berth/export/csv"):
        assert (await server.ask(EVERYONE, address)).status_code == 200
        hidden = await server.ask(BLIND, address)
        missing = await server.ask(BLIND, address.replace("berth", "nothing"))
        assert hidden.status_code == missing.status_code == 404
        assert hidden.text.replace("berth", "nothing") == missing.text


async def test_only_the_key_is_left_where_no_field_is_named(server: Server) -> None:
    answer = await server.ask(reader(fields=()), "/boats/")
    assert answer.json() == [{"_id": str(key)} for key in (A, B, C)]
    lines = (await server.ask(reader(fields=()), "/boats/export/csv")).text.split()
    assert lines == ["_id", str(A), str(B), str(C)]


async def test_a_hidden_field_of_a_linked_resource_is_not_there(server: Server) -> None:
    caller = reader(harbours=Rights(read=Rule(hide=("dues",))))
    for query in ("berth.dues=7100", "berth.dues__gt=1", "visits.harbour.dues=1"):
        await refused(server, caller, f"/boats/?{query}")
    assert await names(server, caller, "/boats/?berth.name=North") == ["Ada"]
    for door in ("/boats/?expand=berth,visits.harbour", "/boats/export/csv",
                 "/boats/export/ndjson?columns=berth.name,berth", "/openapi.json"):  # fmt: skip
        answer = await server.ask(caller, door)
        assert answer.status_code == 200
        assert "dues" not in answer.text, door
        assert "7100" not in answer.text, door


async def test_a_resource_that_may_not_be_read_is_not_behind_links(server: Server) -> None:
    caller = caller_with({"boats": Rights(read=WHOLE, export=True)})
    for query in ("berth.name=North", "expand=berth", "expand=visits.harbour",
                  "berth.name__exists=true"):  # fmt: skip
        await refused(server, caller, f"/boats/?{query}")
    await refused(server, caller, "/boats/export/csv?columns=berth.name")
    answer = await server.ask(caller, "/boats/export/csv?limit=1&sort=name")
    assert answer.text.splitlines()[0] == "name,Cost,engine.serial,visits"
    assert await names(server, caller, f"/boats/?berth={N}") == ["Ada"]


# --- documents -----------------------------------------------------------------------------------


async def test_a_list_has_the_documents_of_the_rule(server: Server) -> None:
    answer = await server.ask(SAIL, "/boats/?sort=name")
    assert [one["name"] for one in answer.json()] == ["Ada", "Bea"]
    assert (answer.headers["X-Total-Count"], answer.headers["X-Count-Strategy"]) == ("2", "exact")
    answer = await server.ask(SAIL, "/boats/?limit=1&sort=name&count=exact")
    assert answer.headers["X-Total-Count"] == "2"
    assert (await server.ask(SAIL, "/boats/?limit=1&sort=name")).headers["X-Total-Count"] == "2"
    assert await names(server, SAIL, "/boats/?kind=steam") == []
    assert await names(server, SAIL, "/boats/?kind__ne=sail") == []
    assert await names(server, SAIL, "/boats/?keyword=cleo") == []


async def test_a_rule_may_reach_through_links_and_ask_for_what_is_hidden(server: Server) -> None:
    for caller in (
        NORTHERN,
        reader(where=(("berth.name", "North"),), hide=HIDDEN),
        reader(where=(("berth.dues__lt", "7200"), ("price__contains", "Ada")), hide=HIDDEN),
        reader(where=(("kind__in", "sail"), ("kind__in", "row"), ("crew__nin", "2,3"))),
        reader(where=(("keyword", "ada"),)),
    ):
        assert await names(server, caller, "/boats/") == ["Ada"]
        assert (await server.ask(caller, f"/boats/{A}")).status_code == 200
        assert (await server.ask(caller, f"/boats/{B}")).status_code == 404


@pytest.mark.parametrize(
    "rule",
    [
        {"nothing": True},
        {"where": (("crew", "many"),)},
        {"where": (("crew", ""),)},
        {"where": (("crew__in", ""),)},
        {"where": (("there_is_none", "x"),)},
        {"where": (("kind", "sail"), ("crew", ""))},
    ],
)
async def test_what_can_not_be_asked_matches_nothing(server: Server, rule: Any) -> None:
    caller = reader(**rule)
    answer = await server.ask(caller, "/boats/")
    assert (answer.json(), answer.headers["X-Total-Count"]) == ([], "0")
    assert (await server.ask(caller, f"/boats/{A}")).status_code == 404
    assert len((await server.ask(caller, "/boats/export/csv")).text.splitlines()) == 1


async def test_a_rule_that_mongodb_can_not_read_lets_nobody_in(real: Server) -> None:
    caller = reader(where=(("name__regex", "("),))
    for door in ("/boats/", f"/boats/{A}", "/boats/export/csv", "/boats/?name__contains=x"):
        answer = await real.ask(caller, door)
        assert answer.status_code == 403, door
        assert "A rule of your role" in answer.json()["detail"]


async def test_a_document_outside_of_the_rule_is_as_if_it_were_not_there(server: Server) -> None:
    outside = await server.ask(SAIL, f"/boats/{C}")
    nothing = await server.ask(SAIL, f"/boats/{'0' * 24}")
    assert outside.status_code == nothing.status_code == 404
    assert outside.json()["detail"] == nothing.json()["detail"]
    etag = (await server.ask(EVERYONE, f"/boats/{C}")).headers["ETag"]
    for header in ("If-None-Match", "If-Match"):
        answer = await server.ask(SAIL, f"/boats/{C}", headers={header: etag})
        assert answer.status_code == 404
    assert (await server.ask(SAIL, f"/boats/{C}", "HEAD")).status_code == 404


async def test_an_export_has_the_documents_of_the_rule(server: Server) -> None:
    for word in ("csv", "ndjson", "json"):
        text = (await server.ask(SAIL, f"/boats/export/{word}")).text
        assert ("Ada" in text, "Bea" in text, "Cleo" in text) == (True, True, False)
        text = (await server.ask(NORTHERN, f"/boats/export/{word}?sort=name")).text
        assert ("Ada" in text, "Bea" in text, "Cleo" in text) == (True, False, False)
    assert "X-Total-Count" not in (await server.ask(SAIL, "/boats/export/csv")).headers


@pytest.mark.parametrize("caller", [BLIND, SOME, SAIL], ids=["hide", "fields", "where"])
@pytest.mark.parametrize("query", ["", "?sort=-crew", "?sort=name"])
async def test_an_export_of_many_pages_has_each_document_once(
    real: Server, caller: Caller, query: str
) -> None:
    stored = {"kind": "sail", "price": "price", "engine": {"serial": "serial"}}
    more = [
        {"_id": number, "name": f"{number:04}", "crew": number % 7, **stored}
        for number in range(1_700)
    ]
    await real.store("boats", *more)
    text = (await real.ask(caller, f"/boats/export/ndjson{query}")).text
    keys = [json.loads(line)["_id"] for line in text.splitlines()]
    whole = (await real.ask(EVERYONE, f"/boats/export/ndjson{query}")).text
    skipped = {str(C)} if caller is SAIL else set()
    every = [json.loads(line)["_id"] for line in whole.splitlines()]
    assert keys == [key for key in every if key not in skipped]
    assert len(keys) == 1_703 - len(skipped)
    assert ("price" in text) is (caller is SAIL)


async def test_a_rule_that_asks_for_too_much_names_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joins, "MAX_LINKED", 1)
    caller = reader(where=(("berth.name__exists", "true"),), hide=("berth",))
    answer = await server.ask(caller, "/boats/")
    assert answer.status_code == 403
    assert "A rule of your role" in answer.json()["detail"]
    assert "berth" not in answer.text


async def test_a_linked_document_outside_of_the_rule_stays_its_id(server: Server) -> None:
    north = Rights(read=Rule(where=(("name", "North"),)), export=True)
    caller = reader(harbours=north)
    found = (await server.ask(caller, "/boats/?expand=berth,visits.harbour&sort=name")).json()
    shown = {"_id": str(N), "name": "North", "dues": 7100}
    assert [one["berth"] for one in found] == [shown, str(S), str(S)]
    assert [one["visits"][0]["harbour"] for one in found] == [shown, str(S), str(S)]
    one = (await server.ask(caller, f"/boats/{B}?expand=berth")).json()
    assert one["berth"] == str(S)


async def test_an_export_has_nothing_of_linked_documents_outside_of_the_rule(
    server: Server,
) -> None:
    caller = reader(harbours=Rights(read=Rule(where=(("name", "North"),))))
    columns = "columns=name,berth.name,berth.dues,visits.harbour.name&sort=name"
    text = (await server.ask(caller, f"/boats/export/csv?{columns}")).text
    assert text.split("\r\n")[1:4] == ["Ada,North,7100,\"[\"\"North\"\"]\"", "Bea,,,[null]",
                                       "Cleo,,,[null]"]  # fmt: skip
    text = (await server.ask(caller, f"/boats/export/ndjson?{columns}")).text
    assert [json.loads(line).get("berth") for line in text.splitlines()] == [
        {"name": "North", "dues": 7100}, None, None,
    ]  # fmt: skip
    assert "South" not in text


async def test_a_filter_through_a_link_asks_only_what_may_be_read(server: Server) -> None:
    caller = reader(harbours=Rights(read=Rule(where=(("name", "North"),))))
    assert await names(server, EVERYONE, "/boats/?berth.name=South") == ["Cleo", "Bea"]
    assert await names(server, caller, "/boats/?berth.name=South") == []
    assert await names(server, caller, "/boats/?berth.dues__gt=0") == ["Ada"]
    for name in ("South", "Nowhere"):  # what may not be read answers neither yes nor no
        query = f"/boats/?berth.name__ne={name}&sort=name"
        assert await names(server, caller, query) == ["Ada", "Bea", "Cleo"]
    assert await names(server, caller, "/boats/?berth.name__exists=false&sort=name") == [
        "Bea", "Cleo",
    ]  # fmt: skip
    text = (await server.ask(caller, "/boats/export/csv?berth.name=South")).text
    assert len(text.splitlines()) == 1


async def test_rules_hold_on_every_level_behind_links(server: Server) -> None:
    caller = reader(where=(("kind", "sail"),), harbours=Rights(read=Rule(where=(("name", "N"),))))
    assert await names(server, caller, "/boats/?seen_by.name=Cleo") == []
    assert await names(server, caller, "/boats/?seen_by.berth.name=South") == []
    assert await names(server, caller, "/boats/?seen_by.name=Ada&sort=name") == ["Ada", "Bea"]
    (ada, _) = (await server.ask(caller, "/boats/?expand=seen_by.berth&sort=name")).json()
    assert [one["name"] if isinstance(one, dict) else one for one in ada["seen_by"]] == [
        "Ada", str(C),
    ]  # fmt: skip
    assert ada["seen_by"][0]["berth"] == str(N)


async def test_a_rule_that_reaches_through_links_holds_behind_links(server: Server) -> None:
    assert await names(server, NORTHERN, "/boats/?seen_by.name=Cleo") == []
    assert await names(server, NORTHERN, "/boats/?seen_by.name=Ada") == ["Ada"]
    (ada,) = (await server.ask(NORTHERN, "/boats/?expand=seen_by")).json()
    assert [type(one) for one in ada["seen_by"]] == [dict, str]
    text = (await server.ask(NORTHERN, "/boats/export/csv?columns=seen_by.name")).text
    assert "Ada" in text
    assert "Cleo" not in text


async def test_lists_of_what_links_here_hold_both_rules(server: Server) -> None:
    caller = reader(
        where=(("kind", "sail"),), harbours=Rights(read=Rule(where=(("name", "South"),)))
    )
    assert await names(server, caller, f"/harbours/{S}/boats.berth") == ["Bea"]
    for address in (f"/harbours/{N}/boats.berth", f"/harbours/{N}/boats.berth/export/csv"):
        answer = await server.ask(caller, address)
        assert answer.status_code == 404
        assert "no document with this _id in 'harbours'" in answer.json()["detail"]
    text = (await server.ask(caller, f"/harbours/{S}/boats.berth/export/ndjson")).text
    assert [json.loads(line)["name"] for line in text.splitlines()] == ["Bea"]


async def test_the_token_of_another_caller_is_refused(server: Server) -> None:
    page = await server.ask(EVERYONE, "/boats/?limit=1&sort=name")
    following = page.links["next"]["url"]
    assert await names(server, EVERYONE, following) == ["Bea"]
    answer = await server.ask(SAIL, following)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "after"
    page = await server.ask(SAIL, "/boats/?limit=1&sort=name")
    page = await server.ask(SAIL, page.links["next"]["url"])
    assert [boat["name"] for boat in page.json()] == ["Bea"]
    assert await names(server, SAIL, page.links["prev"]["url"]) == ["Ada"]
    assert "after" in await refused(server, EVERYONE, page.links["prev"]["url"])


async def test_a_token_tells_nothing_of_a_document_that_left_the_rule(real: Server) -> None:
    """One whose place is too long for a token is read again by its `_id`."""
    boats = real.app.state.mongo["boats"]
    await boats.update_one({"_id": A}, {"$set": {"name": "A" * 2_000}})
    page = await real.ask(SAIL, "/boats/?limit=1&sort=name")
    following = page.links["next"]["url"]
    assert await names(real, SAIL, following) == ["Bea"]
    await boats.update_one({"_id": A}, {"$set": {"kind": "steam"}})
    assert "start again" in await refused(real, SAIL, following)


async def test_a_rule_without_documents_costs_no_look_at_them(real: Server) -> None:
    boats = real.app.state.mongo["boats"]
    resources = discover(real.app.settings.MODELS).values()
    compiler = Compilers(Views(resources, reader(nothing=True).rights))["boats"]
    query = compiler.list([("name__regex", "a"), ("crew__gt", "0")])
    found = await boats.database.command(
        "explain", {"find": "boats", "filter": query.filter}, verbosity="executionStats"
    )
    assert found["executionStats"]["totalDocsExamined"] == 0
    assert found["executionStats"]["totalKeysExamined"] == 0


# --- what is not allowed -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "address", "scope"),
    [
        ("GET", "/boats/", "boats:read"),
        ("HEAD", "/boats/", "boats:read"),
        ("GET", f"/boats/{A}", "boats:read"),
        ("GET", "/boats/nonsense", "boats:read"),
        ("GET", "/boats/?nonsense=1", "boats:read"),
        ("GET", "/boats/export/csv", "boats:export"),
        ("GET", "/boats/import/csv", "boats:import"),
        ("POST", "/boats/import", "boats:import"),
        ("POST", "/boats/", "boats:create"),
        ("PUT", f"/boats/{A}", "boats:update"),
        ("PATCH", f"/boats/{A}", "boats:update"),
        ("PATCH", "/boats/?name=x", "boats:update"),
        ("DELETE", f"/boats/{A}", "boats:delete"),
        ("DELETE", "/boats/?name=x", "boats:delete"),
        ("GET", f"/harbours/{N}/boats.berth", "boats:read"),
        ("GET", f"/boats/{A}/boats", "boats:read"),
    ],
)
async def test_what_is_not_allowed_is_403_and_names_the_scope(
    server: Server, method: str, address: str, scope: str
) -> None:
    caller = caller_with({"harbours": EVERYTHING})
    answer = await server.ask(caller, address, method)
    assert answer.status_code == 403
    if method != "HEAD":
        assert scope in answer.json()["detail"]


async def test_what_a_token_may_not_do_is_refused_though_its_account_may(server: Server) -> None:
    rights = Rights(read=WHOLE, export=True, only=("export",))
    caller = caller_with({"boats": rights})
    assert (await server.ask(caller, "/boats/")).status_code == 403
    assert (await server.ask(caller, f"/boats/{A}")).status_code == 403
    assert (await server.ask(caller, "/boats/export/csv")).status_code == 200


async def test_the_record_of_an_export_is_its_makers_and_administrators(server: Server) -> None:
    export_id = (await server.ask(SAIL, "/boats/export/csv")).headers["X-Export-Id"]
    other = caller_with({"boats": EVERYTHING}, "another")
    assert (await server.ask(SAIL, f"/exports/{export_id}")).json()["documents"] == 2
    assert (await server.ask(EVERYONE, f"/exports/{export_id}")).status_code == 200
    unknown = (await server.ask(other, "/exports/unknown")).json()["detail"]
    answer = await server.ask(other, f"/exports/{export_id}")
    assert answer.status_code == 404
    assert answer.json()["detail"].replace(export_id, "unknown") == unknown
    open_id = (await server.ask(EVERYONE, "/boats/export/csv")).headers["X-Export-Id"]
    assert (await server.ask(other, f"/exports/{open_id}")).status_code == 404


async def test_what_is_described_is_what_may_be_done(server: Server) -> None:
    update = Rule(fields=("name", "engine.maker"))
    rights = Rights(read=Rule(hide=("price",)), update=update)
    description = (await server.ask(caller_with({"boats": rights}), "/openapi.json")).json()
    paths = {path: set(item) for path, item in description["paths"].items() if "boats" in path}
    assert paths == {
        "/boats/": {"get", "patch"},
        "/boats/{_id}": {"get", "put", "patch"},
        "/boats/{_id}/boats": {"get"},
    }
    schemas = description["components"]["schemas"]
    assert set(schemas["Boat"]["properties"]) == set(schemas["BoatPatch"]["properties"])
    assert set(schemas["Boat"]["properties"]) == {"name", "engine"}
    reference = schemas["Boat"]["properties"]["engine"]["$ref"]
    assert set(schemas[reference.rpartition("/")[2]]["properties"]) == {"maker"}
    assert "price" not in json.dumps(description)
    assert not [name for name in schemas if name.startswith("Harbour")]


async def test_the_first_page_names_what_may_be_read(server: Server) -> None:
    caller = caller_with({"boats": Rights(read=WHOLE), "harbours": Rights(create=WHOLE)})
    assert list((await server.ask(caller, "/")).json()["resources"]) == ["boats"]
    assert list((await server.ask(EVERYONE, "/")).json()["resources"]) == ["boats", "harbours"]


LEAVES = (
    "name", "kind", "price", "engine.maker", "engine.serial", "visits.note", "visits.paid",
)  # fmt: skip


def mark(path: str, number: int) -> str:
    """A value that is nowhere else."""
    return f"{path.replace('.', '-')}!{number}!"


def marked_boat(number: int) -> dict[str, Any]:
    values = {path: mark(path, number) for path in LEAVES}
    return {
        "_id": (A, B, C)[number], "crew": number, "password": mark("password", number),
        "name": values["name"], "kind": values["kind"], "price": values["price"],
        "engine": {"maker": values["engine.maker"], "serial": values["engine.serial"]},
        "visits": [{"harbour": bson.DBRef("harbours", (N, S, S)[number]),
                    "note": values["visits.note"], "paid": values["visits.paid"]}],
        "berth": bson.DBRef("harbours", (N, S, S)[number]),
        "seen_by": [bson.DBRef("boats", key) for key in (A, B, C)],
    }  # fmt: skip


def random_rule(random: Random, paths: tuple[str, ...]) -> Rule:
    """A rule of a caller who sees some fields, and some documents."""
    some = tuple(random.sample(paths, random.randint(1, len(paths))))
    place = random.choice(paths)
    where = random.choice([(), ((f"{place}__contains", "!0!"),), ((f"{place}__contains", "!"),)])
    return Rule(where, fields=some) if random.random() < 0.5 else Rule(where, hide=some)


def sees(rule: Rule, path: str, number: int) -> bool:
    """Whether the value at the path of that document may be anywhere in an answer."""
    of_document = not rule.where or rule.where[0][1] == "!" or number == 0
    covers = [path == one or path.startswith(f"{one}.") for one in rule.fields or rule.hide]
    return of_document and any(covers) == (rule.fields is not None)


def list_doors(random: Random) -> list[str]:
    """Addresses of boats, with parameters that may be refused."""
    path = random.choice(LEAVES)
    deep = random.choice(["", "seen_by.", "seen_by.seen_by."])
    asked = random.choice([f"{path}__gte=a", f"{deep}{path}__exists=true", f"sort={path}&limit=1",
                           f"{deep}{path}__ne=x", f"fields={path}", "keyword=!", "berth.name__ne=x",
                           f"{deep}{path}__nin=a,b"])  # fmt: skip
    columns = f"columns={deep}{path},{path}:Title" if random.random() < 0.5 else "limit=5"
    return [
        "/boats/", f"/boats/?{asked}", f"/boats/{C}?expand=seen_by.berth",
        "/boats/?expand=seen_by.seen_by,berth,visits.harbour", f"/boats/?{asked}&expand=seen_by",
        f"/boats/export/csv?{columns}", f"/boats/export/ndjson?{columns}", "/boats/export/json",
        f"/boats/export/csv?{asked.partition('&')[0]}", f"/harbours/{S}/boats.berth",
        f"/boats/{B}/boats/export/csv", "/boats/export/csv?unwind=visits", "/harbours/",
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
async def test_hidden_values_are_in_no_answer_whatever_the_rights(models: str, seed: int) -> None:
    random = Random(seed)
    boats, harbours = random_rule(random, LEAVES), random_rule(random, ("name", "dues"))
    harbours = replace(harbours, where=())
    rights = {"boats": Rights(read=boats, export=True), "harbours": Rights(read=harbours)}
    caller = caller_with(rights)
    hidden = [mark("password", number) for number in range(3)]
    for path in LEAVES:
        hidden += [mark(path, number) for number in range(3) if not sees(boats, path, number)]
    hidden += [str(one["dues"]) for one in (NORTH, SOUTH) if not sees(harbours, "dues", 0)]
    async with serve(models) as server:
        await server.store("harbours", NORTH, SOUTH)
        await server.store("boats", *map(marked_boat, range(3)))
        for door in list_doors(random):
            answer = await server.ask(caller, door)
            assert answer.status_code in (200, 404, 422), (door, answer.text)
            text = answer.text + answer.headers.get("Link", "")
            assert not [value for value in hidden if value in text], (caller.rights, door, text)
