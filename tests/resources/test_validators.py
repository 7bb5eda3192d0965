"""Validators of a model that can't judge what they are handed, because it or another is wrong."""

from decimal import Decimal
from typing import Annotated, Any

import bson
import pytest
from beanie import DecimalAnnotation, Document
from pydantic import BeforeValidator, Field, ValidationInfo, WrapValidator, field_validator

from app.errors import Invalid
from app.resources.documents import read_document, read_replacement
from app.resources.patches import Change, read_patch
from app.resources.registry import make_resource

KEY = bson.ObjectId()


def lowered(value: Any) -> Any:
    return value.lower()


def handled(value: Any, handler: Any) -> Any:
    return handler(value.strip())


class Trip(Document):
    """Validators as they are commonly written, which rely on the value that they get."""

    start: int
    end: int
    code: Annotated[str | None, BeforeValidator(lowered)] = None
    name: Annotated[str | None, WrapValidator(handled)] = None
    loose: Annotated[Any, BeforeValidator(lowered)] = ""
    fee: DecimalAnnotation | None = Field(None, le=Decimal("9.50"))

    @field_validator("end")
    @classmethod
    def check_end(cls, end: int, info: ValidationInfo) -> int:
        if end < info.data["start"]:
            raise ValueError("end must not be before start")
        return end


TRIP = make_resource(Trip)


def places(read: Any, *arguments: Any) -> list[str | None]:
    with pytest.raises(Invalid) as caught:
        read(TRIP, *arguments)
    return [fault.pointer for fault in caught.value.faults]


def stored(**fields: Any) -> bytes:
    return bson.encode({"_id": KEY, **fields})


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"end": 3}, ["#/start"]),
        ({"start": "x", "end": 3}, ["#/start"]),
        ({"start": "x", "end": "y", "code": 5}, ["#/start", "#/end", "#/code"]),
        ({"start": 1, "end": 3, "code": 5}, ["#/code"]),
        ({"start": 1, "end": 3, "name": [1]}, ["#/name"]),
        ({"start": 1, "end": 3, "loose": 5}, ["#/loose"]),
    ],
)
def test_wrong_value_is_at_fault_and_not_the_validator_that_relies_on_it(
    body: dict[str, Any], pointers: list[str]
) -> None:
    assert places(read_document, body) == pointers
    assert places(read_replacement, body, stored(start=1, end=2)) == pointers


def test_limit_of_a_decimal_is_told_as_a_number() -> None:
    with pytest.raises(Invalid, match=r"less than or equal to 9\.50 \(what was sent"):
        read_document(TRIP, {"start": 1, "end": 2, "fee": "9.51"})


def test_patch_beside_a_value_that_another_validator_relies_on() -> None:
    for raw in (stored(start="x", end=5), stored(end=5)):
        assert read_patch(TRIP, {"end": "6"}, raw) == Change({"end": 6})
        assert read_patch(TRIP, {"code": "A"}, raw) == Change({"code": "a"})
        assert places(read_patch, {"end": "z"}, raw) == ["#/end"]
        assert read_patch(TRIP, {"start": 5}, raw) == Change({"start": 5})
        assert places(read_patch, {"start": 6}, raw) == ["#/end"]
    assert read_patch(TRIP, {"end": 4}, stored(start=1, end=2, loose=5)) == Change({"end": 4})
