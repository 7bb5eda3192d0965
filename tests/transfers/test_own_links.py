"""Which rows of a file fail because of rows that they link to, against a plain fixed point."""

from typing import Annotated

import pytest
from beanie import Document, Indexed, Link
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from app.resources.links import Reference
from app.resources.registry import make_resource
from app.spreadsheets.ingest import CellFault, Record
from app.transfers.distinct import Distinct
from app.transfers.own_links import OwnLinks
from app.transfers.rows import Row


class Part(Document):
    id: int = Field(alias="_id")
    name: Annotated[str, Indexed(unique=True)]
    others: list[Link["Part"]] = Field([])

    class Settings:
        name = "parts"


MISSING = "There is no such document."


def make_row(place: int, key: int, links: list[int], *, is_right: bool) -> Row:
    hopes = [(link, CellFault("others", str(link), MISSING, 1)) for link in links]
    row = Row(place, Record(place + 2, values={"_id": key}), [], hopes=hopes)
    if is_right:
        row.after = {"_id": key}
    else:
        row.faults = [CellFault("name", "", "wrong", 0)]
    return row


_rows = st.lists(
    st.tuples(st.lists(st.integers(0, 12), max_size=3), st.integers(0, 5)), max_size=12
)


@settings(max_examples=100)
@given(_rows)
def test_a_row_fails_if_it_leads_to_one_that_fails(
    rows: list[tuple[list[int], int]],
) -> None:
    right = {number: bool(luck) for number, (_, luck) in enumerate(rows)}
    links = {number: listed for number, (listed, _) in enumerate(rows)}
    own = OwnLinks(make_resource(Part))
    own.add([make_row(one, one, links[one], is_right=right[one]) for one in range(len(rows) // 2)])
    own.add(
        [
            make_row(one, one, links[one], is_right=right[one])
            for one in range(len(rows) // 2, len(rows))
        ]
    )
    expected = {number for number, is_right in right.items() if is_right}
    while True:
        kept = {number for number in expected if all(link in expected for link in links[number])}
        if kept == expected:
            break
        expected = kept
    failed = {row.place: row.faults for row, _ in own.settle(lambda place: f"Row {place + 2}")}
    own.close()
    assert {number for number in right if not own.has_failed(number)} == expected
    assert set(failed) == {number for number, is_right in right.items() if is_right} - expected
    for place, faults in failed.items():
        for fault in faults:
            target = int(fault.value)
            assert target in links[place]
            assert (fault.detail == MISSING) == (target not in right)
    for number in expected:
        for link in links[number]:
            later = own.comes_later(Reference(("others",), "parts", link))
            assert later or link < number
    assert not own.comes_later(Reference(("others",), "parts", 99))
    assert not own.comes_later(Reference(("others",), "members", 1))


@pytest.mark.parametrize("count", [1, 50, 5_000])
def test_values_are_known_by_the_row_that_had_them_first(count: int) -> None:
    distinct = Distinct()
    assert all(distinct.add(f"value {number}", number) is None for number in range(count))
    assert all(distinct.add(f"value {number}", 7) == number for number in range(count))
    assert all(distinct.find(f"value {number}") == number for number in range(count))
    assert distinct.find("another") is None
