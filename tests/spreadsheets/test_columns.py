import datetime
import pickle
from typing import Any

import pydantic
import pytest

from app.errors import Invalid
from app.resources.fields import shape_of
from app.spreadsheets.columns import Table, parse_columns


class Address(pydantic.BaseModel):
    street: str | None = None
    city: str | None = None
    secret: str = pydantic.Field("", exclude=True)


class Profile(pydantic.BaseModel):
    bio: str | None = None
    addresses: list[Address] = []


class Person(pydantic.BaseModel):
    id: int = pydantic.Field(alias="_id")
    name: str
    born: datetime.date | None = None
    tags: list[str] = []
    profile: Profile | None = None
    hidden: str = pydantic.Field("", exclude=True)


SHAPE = shape_of(Person)
DOCUMENT: dict[str, Any] = {
    "_id": 1,
    "name": "A",
    "tags": ["x", "y"],
    "profile": {"bio": "b", "addresses": [{"street": "s", "city": "北京"}, {"city": None}, 7]},
}


def paths(
    asked: str | None = None, unwind: str | None = None, declared: tuple[str, ...] | None = None
) -> list[str]:
    return [column.path for column in parse_columns(SHAPE, declared, asked, unwind, True)]


def rows(
    asked: str | None, *documents: dict[str, Any], unwind: str | None = None
) -> list[tuple[Any, ...]]:
    columns = parse_columns(SHAPE, None, asked, unwind, True)
    table = Table([column.steps for column in columns], unwind)
    if unwind is None:
        return list(zip(*table.columns_of(list(documents)), strict=True))
    return [
        row for _, part in table.slices_of(list(documents), 2) for row in zip(*part, strict=True)
    ]


def test_default_columns_are_the_fields_in_declared_order_without_id() -> None:
    assert paths() == ["name", "born", "tags", "profile.bio", "profile.addresses"]


def test_star_means_the_default_columns() -> None:
    assert paths("_id,*") == ["_id", "name", "born", "tags", "profile.bio", "profile.addresses"]
    assert paths("*,_id", declared=("name:Name", "tags")) == ["name", "tags", "_id"]
    assert paths("_id,tags,*", declared=("_id", "name", "tags")) == ["_id", "tags", "name"]


def test_unwind_flattens_its_elements() -> None:
    flat = ["profile.addresses.street", "profile.addresses.city"]
    assert paths(None, "profile.addresses") == ["name", "born", "tags", "profile.bio", *flat]
    assert paths("profile.addresses,name", "profile.addresses") == [*flat, "name"]


def test_titles_may_hold_encoded_commas_and_colons() -> None:
    columns = parse_columns(SHAPE, ("born:Born: when",), "name:Name%2C all%3A,*,tags", None, True)
    assert [column.title for column in columns] == ["Name, all:", "Born: when", "tags"]


@pytest.mark.parametrize(
    ("asked", "detail"),
    [
        ("nmae", "'nmae' is no field. Did you mean 'name'?"),
        (
            "profile.adresses.0.city",
            "'profile.adresses.0.city' is no field. Did you mean 'profile.addresses.city'?",
        ),
        ("hidden", "'hidden' is no field."),
        ("profile.addresses.0.secret", "'profile.addresses.0.secret' is no field."),
        ("*,name", "'name' is asked for twice; each column may be there once."),
        (
            "name,,born",
            "'' is no column; columns=name,profile.age:Age is a list of paths, with titles.",
        ),
        (
            "name:",
            "'name:' is no column; columns=name,profile.age:Age is a list of paths, with titles.",
        ),
        ("*:All", "'*' is no field."),
    ],
)
def test_what_is_no_column_is_refused_at_its_parameter(asked: str, detail: str) -> None:
    with pytest.raises(Invalid) as caught:
        paths(asked)
    assert caught.value.detail.startswith(detail)
    assert [fault.parameter for fault in caught.value.faults] == ["columns"]


@pytest.mark.parametrize("unwind", ["name", "adresses", "profile.addresses.city", "profile"])
def test_only_a_list_can_be_unwound(unwind: str) -> None:
    with pytest.raises(Invalid) as caught:
        paths(None, unwind)
    assert [fault.parameter for fault in caught.value.faults] == ["unwind"]


def test_titles_are_refused_where_the_format_has_none() -> None:
    with pytest.raises(Invalid, match="A title"):
        parse_columns(SHAPE, None, "name:Name", None, False)


def test_columns_are_plain_data() -> None:
    columns = parse_columns(SHAPE, None, None, None, True)
    assert pickle.loads(pickle.dumps(columns)) == columns


def test_numbered_elements_and_paths_through_lists() -> None:
    asked = (
        "profile.addresses.0.city,profile.addresses.1.city,profile.addresses.9.city,"
        "profile.addresses.city,tags.1"
    )
    assert rows(asked, DOCUMENT) == [("北京", None, None, ["北京", None, None], "y")]


@pytest.mark.parametrize("profile", [None, "text", 3, [], [{"bio": "b"}], {}])
def test_where_a_parent_is_no_object_its_cells_are_empty(profile: Any) -> None:
    asked = "name,profile.bio,profile.addresses.0.city,profile.addresses.city"
    assert rows(asked, {"name": "A", "profile": profile}) == [("A", None, None, None)]


@pytest.mark.parametrize("addresses", [None, [], "text"])
def test_a_document_with_nothing_to_unwind_keeps_one_row(addresses: Any) -> None:
    document = {"name": "A", "profile": {"addresses": addresses}}
    assert rows(
        "name,profile.addresses.city", document, {"name": "B"}, unwind="profile.addresses"
    ) == [
        ("A", None),
        ("B", None),
    ]


def test_what_is_stored_in_place_of_a_list_counts_as_its_element() -> None:
    document = {"_id": 1, "tags": "x", "profile": {"addresses": {"city": "北京"}}}
    assert rows("_id,tags", document, unwind="tags") == [(1, "x")]
    assert rows("_id,profile.addresses.city", document) == [(1, "北京")]
    assert rows("_id,profile.addresses.city", document, unwind="profile.addresses") == [(1, "北京")]


def test_unwound_rows_come_in_parts_with_the_documents_that_end_there() -> None:
    documents = [{"_id": 1, "tags": ["a", "b", "c"]}, {"_id": 2}, {"_id": 3, "tags": ["d"]}]
    table = Table([("_id",), ("tags", None)], "tags")
    assert list(table.slices_of(documents, 2)) == [
        (0, [[1, 1], ["a", "b"]]),
        (2, [[1, 2], ["c", None]]),
        (1, [[3], ["d"]]),
    ]


def test_unwind_writes_a_row_for_each_element() -> None:
    asked = "name,profile.addresses.city,profile.addresses.0.city,tags"
    assert rows(asked, DOCUMENT, {"name": "B"}, unwind="profile.addresses") == [
        ("A", "北京", "北京", ["x", "y"]),
        ("A", None, "北京", ["x", "y"]),
        ("A", None, "北京", ["x", "y"]),
        ("B", None, None, None),
    ]


def test_a_list_of_plain_values_unwinds_too() -> None:
    assert rows("name,tags", DOCUMENT, unwind="tags") == [("A", "x"), ("A", "y")]


def test_presented_cells_have_no_excluded_fields_and_dates_without_time() -> None:
    midnight = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    born, addresses = parse_columns(SHAPE, None, "born,profile.addresses", None, True)
    present_born, present_addresses = born.presenter(), addresses.presenter()
    assert present_born is not None
    assert present_addresses is not None
    assert present_born([midnight, None, "odd"]) == [midnight.date(), None, "odd"]
    assert present_addresses([[{"city": "x", "secret": "s"}], None]) == [[{"city": "x"}], None]
