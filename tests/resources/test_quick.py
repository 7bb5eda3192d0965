"""The quick way from a body to a document makes exactly what the whole way makes, or nothing."""

from typing import Annotated, Any

import bson
import pytest
from beanie import Document
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    EmailStr,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from app.errors import Invalid
from app.resources.addresses import read_address
from app.resources.codec import CODEC
from app.resources.quick import quick_reader
from app.resources.registry import make_resource
from app.resources.storing import encode
from app.resources.validation import validate
from models.user import User
from tests.support import every_type
from tests.support.every_type import Camel, Coded, Named, Numbered, Strict, Thing

KEY = "5f43a1b2c3d4e5f60718293a"
THING = make_resource(Thing)


class Seat(BaseModel):
    """A nested model with a validator of a field, a factory and a private attribute."""

    row: int
    name: str = "A"
    notes: list[str] = Field(default_factory=lambda: ["new"])
    _seen: int = PrivateAttr(0)

    @field_validator("name")
    @classmethod
    def upper(cls, name: str) -> str:
        if name == "?":
            raise ValueError("must have a name")
        return name.upper()


class Booking(Document):
    """What nobody but pydantic looks at."""

    mail: EmailStr
    seat: Seat
    other: Seat = Seat(row=7, name="b")
    seats: list[Seat | None] = []  # noqa: RUF012
    by_day: dict[str, Seat] = {}  # noqa: RUF012
    pin: SecretStr | None = None
    price: Annotated[float, Field(gt=0)] | None = Field(None, alias="thePrice")

    class Settings:
        name = "bookings"


BOOKING = make_resource(Booking)
_letters = st.text("aé1.", max_size=4)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**64) | st.floats(-2, 2) | _letters,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_letters, inner, max_size=2),
    max_leaves=4,
)
TEXTS = [
    "2026-01-02",
    "2026-01-02T03:04:05.678Z",
    "PT1H",
    "1.10",
    "red",
    "GREEN",
    "yes",
    "7",
    KEY,
    "12345678-1234-5678-1234-567812345678",
    "aGVsbG8=",
    "1e400",
    "\ud800",
    "",
]
_texts = st.sampled_from(TEXTS)
_values = _texts | _json | st.lists(_texts, max_size=2) | st.dictionaries(_letters, _texts)
_points = st.fixed_dictionaries({}, optional={"x": _values, "y": _values, "z": st.just(1)})
_names = [*sorted(THING.shape.fields.keys() - {"_id"}), "unknown", "revision_id"]
_bodies = st.dictionaries(
    st.sampled_from(_names), _values | _points | st.lists(_points, max_size=2), max_size=4
)
_seats = st.none() | st.fixed_dictionaries(
    {}, optional={"row": st.integers() | _texts, "name": st.sampled_from(["a", "?", None])}
)
_bookings = st.fixed_dictionaries(
    {"mail": st.sampled_from(["Ada@EXAMPLE.com", "ada@", "info@x.de"]), "seat": _seats},
    optional={
        "other": _seats,
        "seats": st.lists(_seats, max_size=2),
        "by_day": st.dictionaries(_letters, _seats, max_size=2),
        "pin": _letters,
        "thePrice": st.floats(-1, 1),
        "price": st.floats(-1, 1),
    },
)


def whole(resource: Any, body: Any) -> bytes | None:
    """The document of the way through an instance, None where the body is refused."""
    try:
        return bson.encode(encode(resource, validate(resource, body)), codec_options=CODEC)
    except (Invalid, OverflowError):
        return None


def quick(resource: Any, body: Any) -> bytes | None:
    """The document of the quick way, None where it refuses the body."""
    reader = quick_reader(resource.model)
    assert reader is not None
    document = reader.document(body)
    try:
        return None if document is None else bson.encode(document, codec_options=CODEC)
    except OverflowError:
        return None


@settings(max_examples=150)
@given(_bodies)
@example({"point": {"x": "1"}, "tree": {"name": "a", "children": [{"name": "b"}]}})
@example({"line": {"start": {"x": 1}, "others": [{"x": 2, "y": None}]}})
@example({"points_by": {"a": {"x": 1, "label": "é"}}, "amounts_by": {"a": "1.10"}})
@example({"span": "PT1H", "unique": ["b", "a"], "pair": [1, "x"], "otherName": "a"})
@example({"aliased": "a"})
def test_every_type_is_as_on_the_whole_way(body: dict[str, Any]) -> None:
    body = {"_id": KEY, **body}
    assert quick(THING, body) == whole(THING, body)


@settings(max_examples=80)
@given(_bookings)
@example({"mail": "a@example.com", "seat": {"row": 1}})
@example({"mail": "a@example.com", "seat": {"row": 1}, "seats": [None, {"row": 2}]})
def test_validators_defaults_and_secrets_are_as_on_the_whole_way(body: dict[str, Any]) -> None:
    body = {"_id": KEY, **body}
    assert quick(BOOKING, body) == whole(BOOKING, body)


@pytest.mark.parametrize(
    ("model", "bodies"),
    [
        (Camel, [{"firstName": "a", "birthDay": "2026-01-02", "homePoint": {"x": 1}}]),
        (Camel, [{"first_name": "a"}, {"firstName": "a", "home_point": {"x": 1}}]),
        (Strict, [{"name": "ab", "age": 1, "when": "2026-01-02T03:04:05Z"}]),
        (Strict, [{"name": "ab", "age": "1", "when": "2026-01-02T03:04:05Z"}, {"name": "a"}]),
        (Numbered, [{"_id": 1, "name": "a"}, {"_id": "1"}, {"name": "a"}]),
        (Named, [{"_id": "x"}, {"id": "x"}]),
        (Coded, [{"_id": "12345678-1234-5678-1234-567812345678"}]),
        (User, [{"_id": KEY, "name": "王", "email": "Wang@Example.COM", "profile": {"age": 3}}]),
    ],
)
def test_each_model_is_as_on_the_whole_way(model: Any, bodies: list[dict[str, Any]]) -> None:
    resource = make_resource(model)
    for body in bodies:
        with_key = body if model in (Numbered, Named, Coded) else {"_id": KEY, **body}
        assert quick(resource, with_key) == whole(resource, with_key)


def test_the_right_bodies_of_every_type_are_quick() -> None:
    body = {"_id": KEY, "text": "a", "points": [{"x": 1}], "tree": {"name": "a"}, "secret": "s"}
    assert quick(THING, body) is not None


def test_a_default_is_not_shared_between_documents() -> None:
    reader = quick_reader(BOOKING.model)
    assert reader is not None
    body = {"mail": "a@example.com", "seat": {"row": 1}}
    first, second = reader.document(body), reader.document(body)
    assert first is not None
    assert second is not None
    first["seats"].append(1)
    first["other"]["row"] = 8
    assert second["seats"] == []
    assert second["other"]["row"] == 7


class Whole(Document):
    """Its validator looks at the instance."""

    name: str

    @model_validator(mode="after")
    def check(self) -> "Whole":
        return self


class Before(Document):
    """Its validator looks at the whole body."""

    name: str

    @model_validator(mode="before")
    @classmethod
    def check(cls, body: Any) -> Any:
        return body


class Neighbour(Document):
    """The validator of a field looks at another."""

    one: str
    two: str

    @field_validator("two")
    @classmethod
    def check(cls, value: str, info: ValidationInfo) -> str:
        return value + info.data["one"]


class Factory(Document):
    """A default depends on another field."""

    one: str
    two: str = Field(default_factory=lambda data: data["one"])


class Initialised(Document):
    """Its instances finish themselves."""

    name: str

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self.name = self.name.upper()


class Encoded(Document):
    """Its values have encoders of their own."""

    name: str

    class Settings:
        bson_encoders = {str: str.upper}  # noqa: RUF012


class WithoutNulls(Document):
    """Nulls are not stored."""

    name: str | None = None

    class Settings:
        keep_nulls = False


@pytest.mark.parametrize(
    "model",
    [Whole, Before, Neighbour, Factory, Initialised, Encoded, WithoutNulls, every_type.Open],
)
def test_a_model_whose_instances_are_looked_at_has_no_quick_way(model: Any) -> None:
    assert quick_reader(make_resource(model).model) is None


def test_a_nested_model_that_is_looked_at_stays_an_instance() -> None:
    class Inner(BaseModel):
        name: str

        @model_validator(mode="after")
        def check(self) -> "Inner":
            self.name = self.name.upper()
            return self

    class Outer(Document):
        inner: Inner
        inners: list[Inner] = []  # noqa: RUF012

    reader = quick_reader(make_resource(Outer).model)
    assert reader is not None
    document = reader.document({"inner": {"name": "a"}, "inners": [{"name": "b"}]})
    assert document == {"_id": None, "inner": {"name": "A"}, "inners": [{"name": "B"}]}


_LETTERS = "aA1.@-_+ü中 \"'<>%\n"


@settings(max_examples=150)
@given(st.emails() | st.text(_LETTERS, max_size=12) | st.text(_LETTERS).map("a@x.com".__add__))
@example("Info@Example.com")
@example("postmaster@example.com")
@example("a" * 64 + "@example.com")
@example("a" * 65 + "@example.com")
@example("a@" + "b" * 63 + ".com")
@example("a@" + "b" * 64 + ".com")
@example("a@xn--fsq.com")
@example("a@example.test")
@example("a@localhost")
@example("a@[127.0.0.1]")
@example("a@example.com.")
@example("a..b@example.com")
@example("a@example..com")
@example("a@1.2.3.4")
@example("a" * 60 + "@" + ".".join(["b" * 60] * 3) + ".com")
def test_an_address_is_read_as_pydantic_reads_it(text: str) -> None:
    assert outcome(read_address, text) == outcome(EmailStr._validate, text)


def outcome(read: Any, text: str) -> str:
    try:
        return repr(read(text))
    except ValueError as error:
        return str(error)
