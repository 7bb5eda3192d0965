"""What validators know of the stored document, and how little is said of excluded fields."""

from typing import Any, Literal

import bson
import pytest
from beanie import Document
from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator

from app.errors import Invalid
from app.resources.codec import decode
from app.resources.documents import read_document, read_replacement
from app.resources.patches import read_patch
from app.resources.registry import make_resource

KEY = bson.ObjectId("65a000000000000000000001")
NEXT = {"draft": ("draft", "open"), "open": ("open", "closed"), "closed": ("closed",)}


class Inner(BaseModel):
    """A model with something to hide."""

    pin: str | None = Field(None, min_length=4, exclude=True)


class Ticket(Document):
    """A document whose state may only go on, and whose secret is turned round when it is sent."""

    title: str = "x"
    state: Literal["draft", "open", "closed"] = "draft"
    secret: str | None = Field(None, max_length=10, alias="theSecret", exclude=True)
    inner: Inner | None = None

    @field_validator("state")
    @classmethod
    def go_on(cls, value: str, info: ValidationInfo) -> str:
        """A state comes after the stored one."""
        before = (info.context or {}).get("stored", {}).get("state", "draft")
        if value not in NEXT[before]:
            raise ValueError(f"{before} can't become {value}")
        return value

    @field_validator("secret")
    @classmethod
    def turn(cls, value: str | None, info: ValidationInfo) -> str | None:
        """What is sent, the other way round; what is stored as it is."""
        stored = (info.context or {}).get("stored", {})
        if value is None or value == stored.get("theSecret"):
            return value
        calls.append(value)
        return value[::-1]

    @model_validator(mode="after")
    def keep_title(self, info: ValidationInfo) -> "Ticket":
        """A closed ticket keeps its title."""
        stored = (info.context or {}).get("stored", {})
        if stored.get("state") == "closed" and stored["title"] != self.title:
            raise ValueError("a closed ticket keeps its title")
        return self

    class Settings:
        name = "tickets"


calls: list[str] = []
TICKETS = make_resource(Ticket)


@pytest.fixture(autouse=True)
def no_calls() -> None:
    calls.clear()


def stored(**more: Any) -> bytes:
    return bson.encode({"_id": KEY, "title": "x", "state": "open", "theSecret": "fedcba", **more})


def replaced(body: dict[str, Any], raw: bytes) -> dict[str, Any]:
    return decode(read_replacement(TICKETS, body, raw))


def test_a_new_document_has_nothing_stored() -> None:
    assert read_document(TICKETS, {"theSecret": "abcdef"})["theSecret"] == "fedcba"
    with pytest.raises(Invalid, match="draft can't become closed"):
        read_document(TICKETS, {"state": "closed"})


def test_a_write_is_judged_by_what_is_stored() -> None:
    assert read_patch(TICKETS, {"state": "closed"}, stored()).set == {"state": "closed"}
    assert replaced({"state": "closed"}, stored())["state"] == "closed"
    for write in (read_patch, read_replacement):
        with pytest.raises(Invalid) as caught:
            write(TICKETS, {"state": "draft"}, stored())
        assert [fault.pointer for fault in caught.value.faults] == ["#/state"]
        with pytest.raises(Invalid, match="a closed ticket keeps its title"):
            write(TICKETS, {"title": "y", "state": "closed"}, stored(state="closed"))


def test_what_is_stored_is_not_converted_once_more() -> None:
    assert read_patch(TICKETS, {"title": "y"}, stored()).set == {"title": "y"}
    assert replaced({"title": "y", "state": "open"}, stored())["theSecret"] == "fedcba"
    assert calls == []


def test_what_is_sent_is_converted_once() -> None:
    change = read_patch(TICKETS, {"theSecret": "123", "title": "y"}, stored())
    assert change.set == {"theSecret": "321", "title": "y"}
    assert replaced({"theSecret": "123", "state": "open"}, stored())["theSecret"] == "321"
    assert calls == ["123", "123"]


def test_a_document_that_breaks_its_model_is_judged_alike() -> None:
    broken = stored(title=5)
    assert read_patch(TICKETS, {"state": "closed"}, broken).set == {"state": "closed"}
    assert calls == []
    with pytest.raises(Invalid) as caught:
        read_patch(TICKETS, {"state": "draft"}, broken)
    assert [fault.pointer for fault in caught.value.faults] == ["#/state"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"theSecret": "geheim geheim"}, "#/theSecret"),
        ({"theSecret": 4711}, "#/theSecret"),
        ({"theSecret": ["geheim"]}, "#/theSecret"),
        ({"theSecret": {"geheim": 4711}}, "#/theSecret"),
        ({"inner": {"pin": "471"}}, "#/inner/pin"),
    ],
)
def test_no_message_repeats_what_is_in_an_excluded_field(
    body: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(Invalid) as caught:
        read_document(TICKETS, body)
    assert [fault.pointer for fault in caught.value.faults] == [pointer]
    said = f"{caught.value} {caught.value.faults}"
    assert not [word for word in ("geheim", "471", "what was sent") if word in said]


def test_a_resource_knows_whether_it_hides_anything() -> None:
    class Plain(Document):
        """Hides nothing."""

        title: str

    class Deep(Document):
        """Hides something deep inside."""

        inners: dict[str, list[Inner]]

    assert TICKETS.has_excluded
    assert not make_resource(Plain).has_excluded
    assert make_resource(Deep).has_excluded
