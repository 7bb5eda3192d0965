"""Columns matched with the model's fields, cells made values by the model's type."""

import datetime
import enum
import io
import json
import uuid
from typing import Any, Literal

import bson
import pydantic
import pytest
from beanie import Document, Link

from app.errors import Invalid
from app.resources.fields import shape_of
from app.spreadsheets.cell import PADDED, Broken, Cut, Serial, Shown
from app.spreadsheets.cells import EMPTY, KEPT, Bad, CellReader, zone
from app.spreadsheets.format import ReadOptions, Rows
from app.spreadsheets.formats import FORMATS
from app.spreadsheets.ingest import Ingest, guess_targets, match_columns


class Color(enum.StrEnum):
    RED = "red"
    GREEN = "Green"


class Address(pydantic.BaseModel):
    street: str | None = None
    city: str | None = None


class Profile(pydantic.BaseModel):
    bio: str | None = None
    addresses: list[Address] = []


class Person(pydantic.BaseModel):
    id: int | None = pydantic.Field(None, alias="_id")
    name: str = ""
    age: int | None = None
    size: float | None = None
    flag: bool | None = None
    moment: datetime.datetime | None = None
    day: datetime.date | None = None
    amount: bson.Decimal128 | None = None
    span: datetime.timedelta | None = None
    code: uuid.UUID | None = None
    ref: bson.ObjectId | None = None
    data: bytes | None = None
    color: Color | None = None
    digit: Literal[1, 2] | None = None
    either: Literal["1", 2] | None = None
    anything: Any = None
    tags: list[str] = []
    labels: dict[str, int] = {}
    profile: Profile | None = None
    hidden: str = pydantic.Field("", exclude=True)

    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)


class Several(pydantic.BaseModel):
    number_or_text: int | str | None = None
    real_or_text: float | str | None = None
    flag_or_text: bool | str | None = None
    day_or_text: datetime.date | str | None = None
    moment_or_number: datetime.datetime | int | None = None
    model_or_text: Address | list[int] | str | None = None


class Erring(pydantic.BaseModel):
    name: str
    error: str | None = None


SHAPE = shape_of(Person)
DECLARED = ("name:Full name", "profile.addresses:Homes")


def ingest(text: str, asked: str | None = None, timezone: str = "UTC") -> list[Any]:
    """The records of a CSV."""
    options = ReadOptions(timezone=timezone)
    reader = FORMATS["csv"].reader
    assert reader is not None
    read = reader(io.BytesIO(text.encode()), options)
    made = Ingest(read, SHAPE, DECLARED, asked, options)
    records = [record for rows in read for record in made.records(rows)]
    return [(record, made.body(record)) for record in records]


def paths(*header: str, asked: str | None = None) -> list[str]:
    return [target.path for target in match_columns(header, SHAPE, DECLARED, asked)]


def test_columns_are_matched_by_path_by_title_and_in_any_case() -> None:
    header = ("Full name", "AGE", "profile.BIO", "", "homes.0.City", "tags.1", "labels.x", "error")
    assert paths(*header) == [
        "name", "age", "profile.bio", "profile.addresses.0.city", "tags.1", "labels.x",
    ]  # fmt: skip
    assert paths("Profile.Addresses.12.street", " day ".strip(), "_id") == [
        "profile.addresses.12.street", "day", "_id",
    ]  # fmt: skip


def test_columns_asked_for_name_foreign_titles() -> None:
    assert paths("Vorname", "alter", "Homes", asked="name:Vorname,age:Alter,*") == [
        "name", "age", "profile.addresses",
    ]  # fmt: skip


def test_skipped_columns_are_overlooked_whatever_they_have() -> None:
    header = ("name", "nmae", "age")
    targets = match_columns(header, SHAPE, DECLARED, skipped=("nmae", "age"))
    assert [(target.position, target.path) for target in targets] == [(0, "name")]


def test_a_title_is_guessed_by_itself() -> None:
    header = ("Full name", "nmae", "", "profile.addresses.city", "profile", "profile.bio")
    guessed = guess_targets(header, SHAPE, DECLARED)
    assert [target and target.path for target in guessed] == [
        "name", None, None, None, "profile", "profile.bio",
    ]  # fmt: skip


FIELDS = ", ".join(path for path in SHAPE.fields if path != "hidden")


@pytest.mark.parametrize(
    ("header", "details"),
    [
        (("name", "nmae"), ["The column 'nmae' is no field. Did you mean 'name'?"]),
        (("hidden",), [f"The column 'hidden' is no field. There are {FIELDS}."]),
        (
            ("x1", "y1"),
            [f"The column '{title}' is no field. There are {FIELDS}." for title in ("x1", "y1")],
        ),
        (("name", "Full name"), ["The columns 'name' and 'Full name' are the same field 'name'."]),
        (
            ("profile", "profile.bio"),
            ["The column 'profile.bio' is a part of the column 'profile'; keep one."],
        ),
        (("tags.10000",), ["The column 'tags.10000' is past the 10,000 elements of a list."]),
        (("error",), ["No column of the file is a field: its first row has no title of one."]),
    ],
)
def test_what_is_wrong_with_a_header_is_said_for_each_column(
    header: tuple[str, ...], details: list[str]
) -> None:
    with pytest.raises(Invalid) as caught:
        match_columns(header, SHAPE, DECLARED)
    assert [fault.detail for fault in caught.value.faults] == details


@pytest.mark.parametrize("title", ["profile.addresses.city", "Homes.city"])
def test_an_unwound_file_is_refused_with_the_reason(title: str) -> None:
    with pytest.raises(Invalid, match=r"unwound.*profile\.addresses\.0\.city"):
        match_columns(("name", title), SHAPE, DECLARED)


def test_the_column_for_errors_is_another_one_where_a_field_has_its_name() -> None:
    shape = shape_of(Erring)
    assert [target.path for target in match_columns(("error", "error (2)"), shape)] == ["error"]


def test_a_record_says_what_has_a_value_and_what_is_empty() -> None:
    [(record, body)] = ingest("name,age,profile.bio,profile.addresses.0.city,tags\n007,,b,,\n")
    assert record.number == 2
    assert record.values == {"name": "007", "profile.bio": "b"}
    assert record.empty == ["age", "profile.addresses.0.city", "tags"]
    assert record.faults == []
    assert body == {"name": "007", "profile": {"bio": "b"}}


def test_numbered_columns_and_json_build_lists() -> None:
    text = (
        "profile.addresses.0.city,profile.addresses.2.city,profile.addresses.2.street,tags.1,labels\n"
        'a,c,d,x,"{""k"":1}"\n'
        ",,,,\n"
        "a,,,,\n"
    )
    bodies = [body for _, body in ingest(text)]
    assert bodies == [
        {
            "profile": {"addresses": [{"city": "a"}, {}, {"city": "c", "street": "d"}]},
            "tags": ["", "x"],
            "labels": {"k": 1},
        },
        {"profile": {"addresses": [{"city": "a"}]}},
    ]


def test_a_bad_cell_is_named_and_the_others_are_read() -> None:
    [(record, body)] = ingest("Full name,age,day,x\n".replace(",x", "") + "A,old,2026-13-01\n")
    assert [
        (fault.column, fault.value, fault.detail, fault.position) for fault in record.faults
    ] == [
        ("age", "old", "age must be a whole number (64 bits).", 1),
        ("day", "2026-13-01", "day must be a date as 2026-01-02.", 2),
    ]
    assert body == {"name": "A"}


def test_a_cell_without_a_title_is_a_fault_unless_it_is_empty() -> None:
    records = [record for record, _ in ingest("name,,age\nA,,1,\nB,x,2\nC,,3,y\n")]
    assert [[fault.detail for fault in record.faults] for record in records] == [
        [],
        ["The column B has no title in the first row, so that nothing may be in it."],
        ["The row has a cell to the right of C, the last column with a title."],
    ]


def test_the_column_of_a_fault_of_the_validation() -> None:
    header = ["name", "profile.addresses.0.city", "tags"]

    class Fake:
        cut: frozenset[bytes] = frozenset()
        typed = True

        def __init__(self) -> None:
            self.header: list[str] | None = header

        def __iter__(self) -> Any:
            return iter(())

    made = Ingest(Fake(), SHAPE)
    places: list[tuple[tuple[str | int, ...], str | None]] = [
        (("name",), "name"),
        (("tags", 3), "tags"),
        (("profile",), "profile.addresses.0.city"),
        (("profile", "addresses", 0, "city"), "profile.addresses.0.city"),
        (("age",), None),
    ]
    for steps, path in places:
        target = made.path_of(steps)
        assert (target.path if target else None) == path


def test_documents_are_records_as_they_are() -> None:
    reader = FORMATS["ndjson"].reader
    assert reader is not None
    read = reader(io.BytesIO(b'{"name":"A","x":1}\n5\n'), ReadOptions())
    made = Ingest(read, SHAPE)
    records = [record for rows in read for record in made.records(rows)]
    assert made.body(records[0]) == {"name": "A", "x": 1}
    assert [fault.value for fault in records[1].faults] == ["5"]


class Course(Document):
    id: int = pydantic.Field(alias="_id")


class Group(pydantic.BaseModel):
    course: Link[Course] | None = None


class Student(Document):
    name: str
    courses: list[Link[Course]] = pydantic.Field(default_factory=list)
    group: Group | None = None


def test_links_are_the_id_that_they_lead_to() -> None:
    shape = shape_of(Student)
    reader = FORMATS["csv"].reader
    assert reader is not None
    data = b'name,courses,group.course\nA,"[1,2]",7\nB,,x\n'
    read = reader(io.BytesIO(data), ReadOptions())
    made = Ingest(read, shape)
    first, second = (record for rows in read for record in made.records(rows))
    assert made.body(first) == {"name": "A", "courses": [1, 2], "group": {"course": 7}}
    assert [fault.detail for fault in second.faults] == [
        "group.course must be a whole number (64 bits)."
    ]


def test_links_as_mongoexport_writes_them() -> None:
    reader = FORMATS["ndjson"].reader
    assert reader is not None
    link = {"$ref": "courses", "$id": {"$numberInt": "7"}}
    lines = [{"name": "A", "courses": [link, 5], "group": {"course": link}}, {"group": None}]
    read = reader(io.BytesIO("\n".join(map(json.dumps, lines)).encode()), ReadOptions())
    made = Ingest(read, shape_of(Student))
    assert [made.body(record) for rows in read for record in made.records(rows)] == [
        {"name": "A", "courses": [7, 5], "group": {"course": 7}},
        {"group": None},
    ]


SHANGHAI = "Asia/Shanghai"
TEXT = "or written as a text, such as 1899-12-31"
LOST = (
    "is a number of more than 15 digits, of which a spreadsheet keeps no more: format the cell as "
    "text and enter it again"
)
DECIMAL = "must be a decimal number of at most 34 digits"
CELLS: list[tuple[str, Any, Any]] = [  # field, cell, value (or a part of what is wrong)
    ("name", "007", "007"),
    ("name", " a ", " a "),
    ("name", " ", " "),
    ("name", 30.0, "30"),
    ("name", 13800138000.0, "13800138000"),
    ("name", 1.5, "1.5"),
    ("name", 0.1 + 0.2, "0.3"),
    ("name", Shown(1.5, 2), "1.50"),
    ("name", Shown(1.987, 2), "1.987"),
    ("name", Shown(1234.0, PADDED + 5), "01234"),
    ("name", Shown(-1234.0, PADDED + 5), "-01234"),
    ("name", Shown(1.5, PADDED + 5), "1.5"),
    ("name", 110101199003071234, "110101199003071234"),
    ("name", 1.10101199003071e17, Bad("110101199003071000", LOST)),
    ("name", Shown(1.10101199003071e17, 0), Bad("110101199003071000", LOST)),
    ("name", True, "TRUE"),
    ("name", Serial(46024), "2026-01-02"),
    ("name", Serial(46024.5), "2026-01-02T12:00:00"),
    ("name", Serial(0.25), "06:00:00"),
    ("name", "", EMPTY),
    ("name", Cut("x"), KEPT),
    ("name", Broken("the error #N/A"), Bad("", "has no value: the cell holds the error #N/A")),
    ("age", " 30 ", 30),
    ("age", "30.0", 30),
    ("age", 30.0, 30),
    ("age", "-5", -5),
    ("age", " ", EMPTY),
    ("age", str(2**63 - 1), 2**63 - 1),
    ("age", "007", 7),
    ("age", Shown(30.0, 2), 30),
    ("age", 123456789012345678, 123456789012345678),  # as programs write it; Excel doesn't
    ("age", 1.10101199003071e17, Bad("110101199003071000", LOST)),
    ("age", 30.5, Bad("30.5", "must be a whole number (64 bits)")),
    ("age", str(2**63), Bad(str(2**63), "must be a whole number (64 bits)")),
    ("age", 1e300, Bad("1e+300", "must be a whole number (64 bits)")),
    ("age", True, Bad("TRUE", "must be a whole number (64 bits)")),
    ("age", Serial(46024), Bad("2026-01-02", "must be a whole number (64 bits)")),
    ("size", "1.5", 1.5),
    ("size", "1e3", 1000.0),
    ("size", "NaN", "NaN"),
    ("size", "-Infinity", "-Infinity"),
    ("size", "1e999", Bad("1e999", "is larger than a double can be")),
    ("size", "-1e999", Bad("-1e999", "is larger than a double can be")),
    ("size", 3, 3.0),
    ("size", "1,5", Bad("1,5", "must be a number, written as 1234.5")),
    *[
        ("flag", text, True)
        for text in ("true", "TRUE", "yes", "Y", "1", "是", " on ", 1, 1.0, True)
    ],
    *[("flag", text, False) for text in ("false", "No", "0", "否", 0, False)],
    (
        "flag",
        "2",
        Bad("2", "must be true or false (yes and no, 1 and 0, 是 and 否 are understood)"),
    ),
    ("moment", "2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.678Z"),
    ("moment", "2026-01-02T03:04:05.678999Z", "2026-01-02T03:04:05.678Z"),
    ("moment", "2026-01-02T03:04:05.000Z", "2026-01-02T03:04:05Z"),
    ("moment", "2026-01-02T11:04:05+08:00", "2026-01-02T03:04:05Z"),
    ("moment", "2026-01-02 11:04", "2026-01-02T03:04:00Z"),
    ("moment", "2026/1/2 3:04:05", "2026-01-01T19:04:05Z"),
    ("moment", "2026-01-02", "2026-01-01T16:00:00Z"),
    ("moment", Serial(46024.5), "2026-01-02T04:00:00Z"),
    (
        "moment",
        "2026-02-30T00:00:00Z",
        Bad("2026-02-30T00:00:00Z", "must be a date-time as 2026-01-02T03:04:05Z"),
    ),
    ("moment", "02/01/2026", Bad("02/01/2026", "must be a date-time as 2026-01-02T03:04:05Z")),
    (
        "moment",
        46024.5,
        Bad("46024.5", "must be a date-time as 2026-01-02T03:04:05Z, or a cell with a date format"),
    ),
    ("moment", Serial(30), Bad("30", f"must be a date from 1900-03-01 to 9999-12-31, {TEXT}")),
    ("day", "2026-01-02", "2026-01-02"),
    ("day", "2026年1月2日", "2026-01-02"),
    ("day", Serial(46024), "2026-01-02"),
    (
        "day",
        Serial(46024.5),
        Bad("2026-01-02T12:00:00", "must be a date without a time, as 2026-01-02"),
    ),
    ("day", "2026-01-02T00:00:00Z", Bad("2026-01-02T00:00:00Z", "must be a date as 2026-01-02")),
    ("amount", "19.90", "19.90"),
    ("amount", Shown(19.9, 2), "19.90"),
    ("amount", 19.9, "19.9"),
    ("amount", Shown(19.899999999999999, 2), "19.90"),
    ("amount", Shown(3.3000000000000003, 2), "3.30"),
    ("amount", 0.1 + 0.2, "0.3"),
    ("amount", Shown(7.0, PADDED + 3), "7"),
    ("amount", "1.234,50", Bad("1.234,50", f"{DECIMAL}, written as 1234.5")),
    ("amount", Shown(19.987, 2), "19.987"),
    ("amount", 100, "100"),
    ("amount", Shown(100.0, 0), "100"),
    ("amount", Shown(0.0, 2), "0.00"),
    ("amount", Shown(1500.0, -4), "1.50E+3"),
    ("amount", "NaN", "NaN"),
    ("amount", "1E+3", "1E+3"),
    ("amount", "x", Bad("x", "must be a decimal number of at most 34 digits")),
    ("span", "PT1H30M", 5400.0),
    ("span", "5400.5", 5400.5),
    ("span", Serial(0.0625), 5400.0),
    ("span", 90, 90.0),
    ("span", "1e400", Bad("1e400", "must be a duration as PT1H30M, or seconds")),
    ("code", "12345678123456781234567812345678", "12345678-1234-5678-1234-567812345678"),
    ("code", "x", Bad("x", "must be a UUID")),
    ("ref", "65A1B2C3D4E5F60718293A4B", "65a1b2c3d4e5f60718293a4b"),
    ("ref", 5, Bad("5", "must be an ObjectId of 24 hex characters")),
    ("data", "AP8=", "AP8="),
    ("data", "AP8", Bad("AP8", "must be bytes in base64")),
    ("color", "red", "red"),
    ("color", "GREEN", "Green"),
    ("color", "blue", Bad("blue", "must be one of: red, Green")),
    ("digit", "2", 2),
    ("digit", 2.0, 2),
    ("digit", 3, Bad("3", "must be one of: 1, 2")),
    ("either", "1", "1"),
    ("either", 2, 2),
    ("tags", '["a","b"]', ["a", "b"]),
    ("tags", "a, b", Bad("a, b", 'must be a JSON list, such as ["a","b"]')),
    ("labels", '{"x":{"$numberLong":"5"}}', {"x": 5}),
    ("labels", "[1]", Bad("[1]", 'must be a JSON object, such as {"name":"value"}')),
    ("profile", '{"bio":"b"}', {"bio": "b"}),
    ("anything", "[1,", "[1,"),
    ("anything", "007", "007"),
    ("anything", '{"a":[1]}', {"a": [1]}),
    ("anything", 5, 5),
    ("anything", True, True),
    ("anything", Serial(46024.5), "2026-01-02T04:00:00Z"),
]
TYPED_UNIONS: list[tuple[str, Any, Any]] = [  # in a workbook: field, cell, value
    ("number_or_text", 5, 5),
    ("number_or_text", Shown(5.0, 2), 5),
    ("number_or_text", "5", "5"),
    ("number_or_text", Shown(1.5, 2), "1.50"),
    ("number_or_text", True, "TRUE"),
    ("number_or_text", Serial(46024), "2026-01-02"),
    ("number_or_text", 1.10101199003071e17, Bad("110101199003071000", LOST)),
    ("number_or_text", "[1]", "[1]"),
    ("number_or_text", " ", " "),
    ("real_or_text", 1.5, 1.5),
    ("real_or_text", 5, 5),
    ("flag_or_text", True, True),
    ("flag_or_text", 1, "1"),
    ("day_or_text", Serial(46024), "2026-01-02"),
    ("moment_or_number", Serial(46024.5), "2026-01-02T12:00:00Z"),
    ("model_or_text", '{"city":"c"}', {"city": "c"}),
    ("model_or_text", "[1]", [1]),
    ("model_or_text", "{x", "{x"),
]
UNIONS: list[tuple[str, Any, Any]] = [  # in a file of texts
    ("number_or_text", "5", 5),
    ("number_or_text", "-5", -5),
    ("number_or_text", "007", "007"),
    ("number_or_text", "1.50", "1.50"),
    ("number_or_text", "1E5", "1E5"),
    ("number_or_text", "true", "true"),
    ("number_or_text", '{"a":1}', '{"a":1}'),
    ("number_or_text", str(2**63), str(2**63)),
    ("real_or_text", "1.5", 1.5),
    ("real_or_text", "5", 5),
    ("real_or_text", "1e999", "1e999"),
    ("flag_or_text", "true", True),
    ("flag_or_text", "TRUE", "TRUE"),
    ("flag_or_text", "1", "1"),
    ("day_or_text", "2026-01-02", "2026-01-02"),
    ("day_or_text", "2026", "2026"),
    ("moment_or_number", "7", 7),
    ("model_or_text", "[1]", [1]),
    ("model_or_text", "5", "5"),
]


def same(value: Any, expected: Any) -> bool:
    return type(value) is type(expected) and bool(value == expected)


@pytest.mark.parametrize(("field", "cell", "value"), CELLS, ids=repr)
def test_a_cell_is_read_by_the_type_of_its_field(field: str, cell: Any, value: Any) -> None:
    read = CellReader(SHAPE.fields[field], zone(SHANGHAI), typed=True)
    assert all(same(one, value) for one in read.column([cell, cell, cell]))
    if isinstance(cell, str) and not isinstance(cell, Broken | Cut):
        assert all(same(one, value) for one in read.column([cell, 5])[:1])


@pytest.mark.parametrize(
    ("cell", "value"),
    [("5", 5), ("-1.5", -1.5), ("1e3", 1000.0), ("true", True), ("007", "007"), ("1e999", "1e999"),
     (str(2**64), str(2**64)), ("x", "x"), ("+1", "+1"), ("[1]", [1]), (" 5", " 5")],
)  # fmt: skip
def test_a_text_for_anything_is_the_json_that_it_is(cell: str, value: Any) -> None:
    read = CellReader(SHAPE.fields["anything"], zone("UTC"), typed=False)
    assert same(read.column([cell])[0], value)


@pytest.mark.parametrize("typed", [True, False])
def test_a_cell_for_several_kinds_is_one_of_these(typed: bool) -> None:
    for name, cell, value in TYPED_UNIONS if typed else UNIONS:
        read = CellReader(shape_of(Several).fields[name], zone("UTC"), typed=typed)
        assert same(read.column([cell])[0], value), (name, cell)


def test_values_of_rows_are_never_one_list() -> None:
    made = CellReader(SHAPE.fields["tags"], zone("UTC"), typed=False)
    first, second = made.column(['["a"]', '["a"]'])
    assert first == second == ["a"]
    assert first is not second


def test_records_name_the_sheet() -> None:
    reader = FORMATS["csv"].reader
    assert reader is not None
    made = Ingest(reader(io.BytesIO(b"name\nA\n"), ReadOptions()), SHAPE)
    [record] = made.records(Rows([7], [["B"]], "users (2)"))
    assert (record.sheet, record.number, json.dumps(record.values)) == (
        "users (2)",
        7,
        '{"name": "B"}',
    )
