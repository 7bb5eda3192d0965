"""What a patch and a replacement leave alone, byte for byte, and which faults count."""

import datetime
import json
from typing import Annotated, Any

import bson
import pytest
from beanie import Document
from bson.code import Code
from bson.dbref import DBRef
from bson.raw_bson import RawBSONDocument
from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator

from app.errors import Invalid
from app.resources.codec import decode
from app.resources.documents import read_replacement
from app.resources.elements import elements, join_elements
from app.resources.patches import Change, read_patch
from app.resources.registry import make_resource
from app.resources.rendering import presenter, to_json
from app.resources.storing import to_bson

KEY = bson.ObjectId("5f43a1b2c3d4e5f60718293a")
WHEN = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
SYMBOL = b"\x0e%b\0\x03\0\0\0ab\0"
UNDEFINED = b"\x06%b\0"
BROKEN = b"\x02%b\0\x03\0\0\0\xff\xfe\0"
POINTER = b"\x0c%b\0\x03\0\0\0ab\0" + b"\1" * 12


class Box(BaseModel):
    size: int
    label: str = "plain"
    day: datetime.date | None = None
    code: Annotated[str | None, Field(exclude=True)] = None


class Range(BaseModel):
    least: int
    most: int = 100

    @model_validator(mode="after")
    def check(self) -> "Range":
        if self.least > self.most:
            raise ValueError("least must not be over most")
        return self


class Sheet(Document):
    note: str | None = None
    strict: int = 3
    start: int = 0
    end: int = 10
    free: dict[str, Any] | None = None
    anything: Any = None
    labels: dict[str, str] = {}  # noqa: RUF012
    days: dict[str, datetime.date] = {}  # noqa: RUF012
    boxes: dict[str, Box] = {}  # noqa: RUF012
    box: Box | None = None
    many: list[Box] = []  # noqa: RUF012
    range: Range | None = None
    secret: Annotated[str | None, Field(exclude=True)] = None

    @field_validator("end")
    @classmethod
    def check_end(cls, end: int, info: ValidationInfo) -> int:
        if end < info.data.get("start", 0):
            raise ValueError("end must not be before start")
        return end

    @model_validator(mode="after")
    def check(self) -> "Sheet":
        if self.note == "forbidden":
            raise ValueError("this note is forbidden")
        return self


SHEET = make_resource(Sheet)


def raw_of(document: dict[str, Any], *more: bytes) -> bytes:
    """A stored document, with some elements of raw BSON at its end."""
    raw = bson.encode({"_id": KEY, **document})
    return join_elements([raw[4:-1], *more])


def patched(patch: Any, raw: bytes) -> bytes:
    """The document as MongoDB has it after the patch (whose dotted paths lead through objects)."""
    change = read_patch(SHEET, patch, raw)
    if change.whole is not None:
        return change.whole
    values = {path: change.set[path] for path in change.set}
    return apply(raw, values, change.unset, "")


def apply(raw: bytes, values: dict[str, Any], unset: tuple[str, ...], prefix: str) -> bytes:
    parts, names = [], set()
    for element in elements(raw):
        name = element.name.decode()
        names.add(name)
        path = prefix + name
        if path in values:
            parts.append(to_bson({name: values[path]})[4:-1])
        elif path in unset:
            continue
        elif any(other.startswith(path + ".") for other in (*values, *unset)):
            inner = apply(raw[element.value : element.end], values, unset, path + ".")
            parts.append(raw[element.begin : element.value] + inner)
        else:
            parts.append(raw[element.begin : element.end])
    for path, value in values.items():
        name = path[len(prefix) :]
        if path.startswith(prefix) and "." not in name and name not in names:
            parts.append(to_bson({name: value})[4:-1])
    return join_elements(parts)


def by_name(raw: bytes) -> dict[str, bytes]:
    return {one.name.decode(): raw[one.begin : one.end] for one in elements(raw)}


def inside(raw: bytes, name: str) -> bytes:
    (found,) = [one for one in elements(raw) if one.name.decode() == name]
    return raw[found.value : found.end]


def places(patch: Any, raw: bytes) -> list[str | None]:
    with pytest.raises(Invalid) as caught:
        read_patch(SHEET, patch, raw)
    return [fault.pointer for fault in caught.value.faults]


RARE = {
    "ref": KEY, "when": WHEN, "d": bson.Decimal128("1.10"), "n": bson.Int64(1),
    "t": bson.Timestamp(1, 2),
    "r": bson.Regex("a", "i"), "c": Code("f", {"x": 1}), "b": bson.Binary(b"1", 3),
    "l": [KEY, {"w": WHEN}],
    "link": DBRef("c", KEY), "far": bson.datetime_ms.DatetimeMS(2**60), "nan": float("nan"),
}  # fmt: skip


@pytest.mark.parametrize(
    "patch",
    [{"a.b": 1}, {"$x": 1}, {"": 1}, {"a.b": None}, {"new": {"$y": {"z": 1}}},
     {"old.name": {"x": 2}}, {"plain": 1}],
)  # fmt: skip
@pytest.mark.parametrize("name", ["free", "anything"])
def test_siblings_in_an_object_keep_their_bson(name: str, patch: dict[str, Any]) -> None:
    inner = join_elements([bson.encode({"old.name": {"w": WHEN}, **RARE})[4:-1], SYMBOL % b"s",
                         UNDEFINED % b"u", BROKEN % b"x", POINTER % b"p"])  # fmt: skip
    raw = raw_of({name: RawBSONDocument(inner)})
    after = inside(patched({name: patch}, raw), name)
    before, now = by_name(inner), by_name(after)
    sent = set(patch)
    assert {key: now[key] for key in now if key not in sent} == {
        key: before[key] for key in before if key not in sent
    }
    assert {key: decode(after)[key] for key in sent if patch[key] is not None} == {
        key: {"w": WHEN, "x": 2} if key == "old.name" else value
        for key, value in patch.items()
        if value is not None
    }


def test_models_in_a_map_gain_and_lose_nothing() -> None:
    raw = raw_of({"boxes": {"a": {"size": 1, "foreign": KEY}, "b": {"size": "wrong"}}})
    after = decode(patched({"boxes": {"c.d": {"size": 2}}}, raw))
    new = {"size": 2, "label": "plain", "day": None, "code": None}
    assert after["boxes"] == {"a": {"size": 1, "foreign": KEY}, "b": {"size": "wrong"}, "c.d": new}
    after = decode(patched({"boxes": {"a": {"size": 3}}}, raw))
    assert after["boxes"] == {"a": {"size": 3, "foreign": KEY}, "b": {"size": "wrong"}}


def test_reference_is_patched_inside_as_the_object_that_it_is() -> None:
    raw = raw_of({"anything": DBRef("c", KEY, more=WHEN)})
    after = patched({"anything": {"more": 1}}, raw)
    assert bson.decode(after)["anything"] == DBRef("c", KEY, more=1)


def test_value_that_is_shown_as_an_object_and_is_none_is_replaced() -> None:
    raw = raw_of({"free": {"t": bson.Timestamp(1, 2)}})
    assert decode(patched({"free": {"t": {"a": 1}}}, raw))["free"] == {"t": {"a": 1}}


def test_wrong_value_beside_the_one_that_is_sent_is_no_fault() -> None:
    raw = raw_of({"labels": {"a": "x", "b": 5}, "days": {"a": "no day"}})
    patch = {"labels": {"c": "y"}, "days": {"b": "2026-01-02"}}
    assert read_patch(SHEET, patch, raw).set == {
        "labels.c": "y",
        "days.b": datetime.datetime(2026, 1, 2),  # noqa: DTZ001 - as Beanie makes it
    }
    assert places({"labels": {"c": 5}}, raw) == ["#/labels/c"]
    assert places({"labels": {"b": 6}}, raw) == ["#/labels/b"]


def test_fault_elsewhere_counts_where_the_patch_causes_it() -> None:
    assert places({"start": 11}, raw_of({"start": 1, "end": 10})) == ["#/end"]
    assert read_patch(SHEET, {"start": 12}, raw_of({"start": 11, "end": 10})) == Change(
        {"start": 12}
    )
    assert places({"range": {"least": 5}}, raw_of({"range": {"least": 1, "most": 3}})) == [
        "#/range"
    ]


def test_fault_that_was_there_does_not_count() -> None:
    raw = raw_of({"note": "forbidden", "range": {"least": 5, "most": 3}, "extra": 1})
    assert read_patch(SHEET, {"strict": 4}, raw) == Change({"strict": 4})
    assert read_patch(SHEET, {"range": {"least": 4}}, raw) == Change({"range.least": 4})
    assert places({"range": {"least": 9, "most": 1}, "strict": "x"}, raw) == ["#/strict"]


def test_model_validators_count_also_where_another_field_is_broken() -> None:
    raw = raw_of({"strict": "broken", "range": {"least": 1, "most": 3, "foreign": 1}, "box": 5})
    assert places({"note": "forbidden"}, raw) == ["#"]
    assert places({"range": {"least": 9}}, raw) == ["#/range"]
    assert read_patch(SHEET, {"note": "fine"}, raw) == Change({"note": "fine"})
    partly = raw_of({"range": {"least": 1, "most": 3}, "strict": "broken", "labels": {"a": 1}})
    assert read_patch(SHEET, {"range": {"most": 4}}, partly) == Change({"range.most": 4})


def test_whole_document_sent_back_as_it_is_shown_changes_nothing() -> None:
    stored = {
        "EXTRA": {"a": 1.0, "b": None},
        "strict": "wrong",
        "end": 5.5,
        "box": {"size": 1, "more": KEY},
        "many": [{"size": 1, "code": "hidden"}],
        "free": dict(RARE),
        "secret": "s",
    }
    raw = raw_of(stored, UNDEFINED % b"u", SYMBOL % b"s", POINTER % b"p", BROKEN % b"x")
    shown = decode(raw)
    presenter(SHEET.shape)(shown)  # type: ignore[misc]
    body = json.loads(to_json(shown))
    assert "secret" not in body
    assert (body["u"], body["s"]) == ({"$undefined": True}, {"$symbol": "ab"})
    assert read_patch(SHEET, body, raw) == Change()
    one = json.loads(json.dumps({**body, "EXTRA": {"a": 1, "b": None}}))  # as JavaScript writes 1.0
    assert read_patch(SHEET, one, raw) == Change()
    assert read_patch(SHEET, {**body, "note": "n"}, raw) == Change({"note": "n"})
    assert places({"EXTRA": {"a": 2}}, raw) == ["#/EXTRA"]
    assert places({"OTHER": 1}, raw) == ["#/OTHER"]


def test_number_of_another_type_is_a_change() -> None:
    change = read_patch(SHEET, {"anything": 1}, raw_of({"anything": 1.0}))
    assert type(change.set["anything"]) is int


def test_zero_of_another_sign_is_a_change() -> None:
    for sent, stored in ((-0.0, 0.0), (0.0, -0.0)):
        change = read_patch(SHEET, {"anything": sent}, raw_of({"anything": stored}))
        assert str(change.set["anything"]) == str(sent)


def test_field_with_a_name_twice_is_patched_where_it_is_shown() -> None:
    twice = join_elements([bson.encode({"x": 1, "y": 2})[4:-1], bson.encode({"x": 3})[4:-1]])
    raw = raw_of({"free": RawBSONDocument(twice)})
    assert decode(patched({"free": {"x": 4}}, raw))["free"] == {"x": 4, "y": 2}
    whole = raw_of({"note": "a", "end": 4}, bson.encode({"note": "b"})[4:-1])
    assert decode(patched({"note": "c"}, whole)) == {"_id": KEY, "note": "c", "end": 4}
    assert decode(patched({"note": None}, whole)) == {"_id": KEY, "end": 4}


def test_removed_field_gets_the_models_default_and_a_required_one_is_a_fault() -> None:
    raw = raw_of({"strict": 5, "note": "x", "box": {"size": 1, "label": "l"}, "labels": {"a": 5}})
    patch = {"strict": None, "note": None, "box": {"label": None}, "labels": {"a": None}}
    assert read_patch(SHEET, patch, raw) == Change(
        {"strict": 3, "box.label": "plain"}, ("note", "labels.a")
    )
    assert places({"box": {"size": None}}, raw) == ["#/box/size"]


def test_what_cannot_be_stored_is_named_by_its_place() -> None:
    raw = raw_of({"free": {"a": 1}})
    assert places({"free": {"x": {"y": [2**63]}}}, raw) == ["#/free/x/y/0"]
    assert places({"free": {"a\0b": 1}}, raw) == ["#/free"]
    with pytest.raises(Invalid, match="16,777,216"):
        read_patch(SHEET, {"note": "x" * 9 * 2**20}, raw_of({"free": {"a": "y" * 9 * 2**20}}))


@pytest.mark.parametrize(
    "element",
    [SYMBOL % b"secret", UNDEFINED % b"secret", BROKEN % b"secret", POINTER % b"secret",
     bson.encode({"secret": 5})[4:-1],
     bson.encode({"secret": {"k": KEY, "t": bson.Timestamp(1, 2)}})[4:-1]],
)  # fmt: skip
def test_excluded_field_keeps_its_bson_whatever_it_is(element: bytes) -> None:
    raw = raw_of({"note": "a", "box": RawBSONDocument(join_elements(
        [bson.encode({"size": 1})[4:-1], element.replace(b"secret", b"code")]
    ))}, element)  # fmt: skip
    after = read_replacement(SHEET, {"note": "m", "box": {"size": 2}}, raw)
    assert by_name(after)["secret"] == element
    assert by_name(inside(after, "box"))["code"] == element.replace(b"secret", b"code")
    assert decode(after)["note"] == "m"
    assert read_replacement(SHEET, {"note": "m", "box": {"size": 2}}, after) == after
    assert by_name(patched({"note": "m"}, raw))["secret"] == element


def test_fault_never_names_an_excluded_field_that_was_not_sent() -> None:
    raw = raw_of({"secret": 5, "box": {"size": 1, "code": 7}})
    with pytest.raises(Invalid) as caught:
        read_replacement(SHEET, {"strict": "x", "box": {"size": "y"}}, raw)
    assert [fault.pointer for fault in caught.value.faults] == ["#/strict", "#/box/size"]


def test_hidden_fields_stay_in_a_list_that_is_sent_as_it_is_shown() -> None:
    raw = raw_of(
        {
            "many": [
                {"size": 1, "label": "a", "code": "x"},
                {"size": 2, "label": "b", "code": "y"},
            ],
            "boxes": {"k": {"size": 1, "code": "z"}},
        }
    )
    body = {
        "many": [{"size": 1, "label": "a"}, {"size": 3, "label": "b"}],
        "boxes": {"k": {"size": 5}},
    }
    after = decode(read_replacement(SHEET, body, raw))
    assert [box["code"] for box in after["many"]] == ["x", None]
    assert after["boxes"]["k"]["code"] == "z"


def test_model_in_a_list_that_is_sent_as_it_is_shown_keeps_its_bson() -> None:
    first = {"size": 1, "foreign": KEY, "code": "h", "label": 5}
    raw = raw_of({"many": [first, {"size": 2, "code": "i"}]})
    shown = {"size": 1, "foreign": str(KEY), "label": 5}
    change = read_patch(SHEET, {"many": [shown, {"size": 3}, {"size": 4}]}, raw)
    stored = bson.decode(to_bson(change.set))["many"]
    assert stored[0] == first
    assert [one["size"] for one in stored] == [1, 3, 4]
    assert places({"many": [{**shown, "foreign": "x"}]}, raw) == ["#/many/0/foreign"]
    assert places({"many": [{"size": 9}, shown]}, raw) == ["#/many/1/foreign"]
    assert places({"many": [shown, {"size": "x"}]}, raw) == ["#/many/1/size"]
