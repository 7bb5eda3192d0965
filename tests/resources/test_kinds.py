"""A kind of field is one line of `KINDS`; all rooms go by it."""

import datetime
from typing import Any

import orjson
import pydantic
import pytest
from beanie import Document
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from app.api.operations import of_collection
from app.resources.codec import decode
from app.resources.documents import read_document, read_replacement
from app.resources.fields import shape_of
from app.resources.keys import read_key, write_key
from app.resources.kinds import KINDS, Filters, Kind
from app.resources.registry import make_resource
from app.resources.rendering import to_json
from app.resources.storing import to_bson
from app.spreadsheets.cells import Bad, CellReader
from app.spreadsheets.forms import entries
from tests.support.compilers import compiler_of


class Percent:
    """`50%`, stored as 0.5."""

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            read_percent, json_schema_input_schema=core_schema.str_schema()
        )


def read_percent(text: str) -> float:
    if not text.endswith("%"):
        raise ValueError("must be as 50%")
    return float(text[:-1]) / 100


def test_kind_is_added_by_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {"type": "string", "pattern": "%$"}
    kind = Kind(
        "percent", Filters.ORDER, (Percent,), (float,), read_percent, "{:.0%}".format, schema, "0%"
    )
    monkeypatch.setitem(KINDS, "percent", kind)

    class Thing(Document):
        id: Percent
        share: Percent | None = None
        shares: list[Percent] = []  # noqa: RUF012

        class Settings:
            name = "things"

    resource = make_resource(Thing)
    compiler = compiler_of(resource)
    assert {field.name: field.kind for field in shape_of(Thing).fields.values()} == {
        "_id": "percent", "share": "percent", "shares": "percent",
    }  # fmt: skip
    query = compiler.list([("share__gt", "25%"), ("shares", "5%")])
    assert query.filter == {"$and": [{"share": {"$gt": 0.25}}, {"shares": {"$eq": 0.05}}]}
    assert read_document(resource, {"_id": "7%"}) == {"_id": 0.07, "share": None, "shares": []}
    foreign = to_bson({"_id": "by another program"})
    assert decode(read_replacement(resource, {"share": "1%"}, foreign))["share"] == 0.01
    assert write_key(resource.key, 0.07) == "7%25"
    assert next(iter(read_key(resource.key, "7%")[0])) == 0.07
    described = of_collection(compiler)[0].parameters
    (share,) = [one for one in described if one["name"] == "share"]
    assert share["schema"] == schema
    _, entry = entries(resource.shape, ("share",))
    assert entry.note == "Percent.\nMay be empty."
    cells = CellReader(resource.shape.fields["share"], datetime.UTC, typed=True)
    assert cells.column(["50%", " 7% ", "x"]) == ["50%", "7%", Bad("x", "must be as 50%")]


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.read is not None])
def test_stand_in_of_each_kind_is_valid(kind: Kind) -> None:
    for base in kind.classes:
        if base.__module__.startswith(("bson", "pydantic", "ipaddress", "zoneinfo")):
            continue  # read by other rules than the kind's own, or never shown: no keys
        model = type(
            "Keyed", (Document,), {"__module__": __name__, "__annotations__": {"id": base}}
        )
        resource = make_resource(model)
        assert decode(read_replacement(resource, {}, to_bson({"_id": {"a": 1}}))) == {
            "_id": {"a": 1}
        }


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("duration", "PT1H30M", 5400.0),
        ("duration", "P1DT1S", 86401.0),
        ("duration", "01:30:00", 5400.0),
        ("duration", "5400", 5400.0),
        ("duration", "-1.5", -1.5),
        ("datetime", "2026-01-02T03:04:05.6785Z", "2026-01-02T03:04:05.678500"),
        ("datetime", "2026-01-02T03:04:05.6780001Z", "2026-01-02T03:04:05.678001"),
        ("datetime", "2026-01-02T03:04:05.678000000Z", "2026-01-02T03:04:05.678"),
    ],
)
def test_text_is_read_as_the_stored_value(kind: str, text: str, value: Any) -> None:
    read = KINDS[kind].read
    assert read is not None
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value).replace(tzinfo=datetime.UTC)
    assert read(text) == value


@pytest.mark.parametrize(("kind", "text"), [("duration", "an hour"), ("int", "1.0"), ("bool", "1")])
def test_reader_says_what_the_text_must_be(kind: str, text: str) -> None:
    read = KINDS[kind].read
    assert read is not None
    with pytest.raises(ValueError, match=r"^must be "):
        read(text)


class Dated(Document):
    """Classes of pydantic that derive from none of those that MongoDB stores."""

    aware: pydantic.AwareDatetime
    past: pydantic.PastDatetime | None = None
    future: pydantic.FutureDatetime | None = None
    day: pydantic.PastDate | None = None
    days: list[pydantic.FutureDate] = []  # noqa: RUF012
    host: pydantic.IPvAnyAddress | None = None
    network: pydantic.IPvAnyNetwork | None = None


def test_classes_of_pydantic_are_of_the_kind_of_what_is_stored() -> None:
    resource = make_resource(Dated)
    kinds = [field.kind for field in resource.shape.fields.values()]
    assert kinds == ["objectid", *["datetime"] * 3, "date", "date", "text", "text"]
    body = {
        "aware": "2026-01-02T03:04:05Z",
        "past": "2026-01-02T03:04:05Z",
        "future": "2999-01-02T03:04:05Z",
        "day": "2026-01-02",
        "days": ["2999-01-02"],
        "host": "::1",
        "network": "10.0.0.0/8",
    }
    shown = decode(to_bson(read_document(resource, body)))
    assert resource.present is not None
    resource.present(shown)
    assert orjson.loads(to_json(shown)).items() >= body.items()
