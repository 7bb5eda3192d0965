"""Whatever a model declares, the quick way makes what the whole way makes, or nothing.

Models are drawn: fields of every sort of pydantic, in the document or in a model inside it, each
under a configuration of its own.
"""

import datetime
import decimal
import enum
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Generic, Literal, TypeVar

import bson
import pytest
from beanie import Document
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    EmailStr,
    Field,
    RootModel,
    SecretStr,
    Tag,
    WrapValidator,
    computed_field,
    create_model,
)
from typing_extensions import TypeAliasType, TypedDict

from app.errors import DeclarationError, Invalid
from app.resources.codec import CODEC
from app.resources.quick import quick_reader
from app.resources.registry import Resource, make_resource
from app.resources.storing import encode
from app.resources.validation import require_object, validate
from tests.support.drawing import some_and_many

KEY = "5f43a1b2c3d4e5f60718293a"
T = TypeVar("T")


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9
    born: datetime.date | None = None


class Dog(BaseModel):
    kind: Literal["dog"]
    lives: float
    tags: list[str] = []


class Few(BaseModel):
    a: int


class More(BaseModel):
    a: float
    b: int = 0


class Box(BaseModel, Generic[T]):
    inside: T
    price: decimal.Decimal = decimal.Decimal("1.10")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> decimal.Decimal:
        return self.price * 2


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int = 0


class Ignoring(BaseModel):
    model_config = ConfigDict(extra="ignore")
    a: int = 0


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    a: int = 0
    day: datetime.date | None = None


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, str_to_upper=True)
    name: str = "a"


class Words(RootModel[list[str]]):
    """A list that is a model."""


class Pair(TypedDict, total=False):
    a: int
    when: datetime.date


Name = TypeAliasType("Name", str)
Tree = TypeAliasType("Tree", "dict[str, Tree] | int")  # type: ignore[misc]


def animal_of(value: Any) -> str:
    return "cat" if isinstance(value, Cat) or "born" in value else "dog"


def count_up() -> Callable[[], list[int]]:
    return lambda: [1, 2]


def twice(value: Any, handler: Callable[[Any], Any]) -> Any:
    return handler(value) * 2


Animal = Annotated[Cat | Dog, Field(discriminator="kind")]
Called = Annotated[
    Annotated[Cat, Tag("cat")] | Annotated[Dog, Tag("dog")], Discriminator(animal_of)
]
LeftToRight = Annotated[Few | More, Field(union_mode="left_to_right")]
SORTS: list[Any] = [
    str, int, float, bool, Any, datetime.datetime, datetime.date, datetime.timedelta,
    decimal.Decimal, uuid.UUID, bytes, Color, EmailStr, SecretStr, Literal[1, "a", None],
    list[str], list[decimal.Decimal], set[int], tuple[int, str], dict[str, datetime.date],
    dict[str, Frozen], list[list[Cat]], Animal, list[Animal], Called, LeftToRight, Few | More,
    int | str, Box[int], Box[Box[str]], list[Box[Color]], Open, list[Open], Ignoring, Strict,
    list[Strict], Frozen, Words, list[Words], Pair, Name, list[Name], Tree,
    Annotated[str, BeforeValidator(str.strip)],
    Annotated[str, BeforeValidator(lambda value: value.strip())],
    Annotated[str, AfterValidator(str.upper)],
    Annotated[Cat, AfterValidator(lambda cat: cat.model_copy(update={"lives": 1}))],
    Annotated[int, WrapValidator(twice)],
    Annotated[list[int], AfterValidator(sorted)],
    Annotated[str, Field(min_length=2, pattern="^[a-z ]+$")],
    Annotated[int, Field(strict=True)],
]  # fmt: skip
CONFIGS: list[dict[str, Any]] = [
    {}, {"strict": True}, {"str_strip_whitespace": True}, {"str_to_upper": True},
    {"extra": "ignore"}, {"extra": "allow"}, {"use_enum_values": True}, {"validate_default": True},
    {"frozen": True}, {"populate_by_name": True}, {"alias_generator": str.title},
    {"coerce_numbers_to_str": True}, {"str_max_length": 3}, {"allow_inf_nan": False},
    {"defer_build": True}, {"revalidate_instances": "always"}, {"val_json_bytes": "base64"},
]  # fmt: skip
DEFAULTS: list[Any] = [
    None, [], {}, "", "ab", 5, 1.5, [1], {"a": 1}, Color.RED, decimal.Decimal("1.5"),
    datetime.date(2026, 1, 2), Cat(), Frozen(), [Cat()], {"a": Frozen()}, {"b"},
]  # fmt: skip
VALUES: list[Any] = [
    None, True, 0, 1, 2**40, -1.5, 1.0, "", "a", " ab ", "red", "cat", "1", "1.50", "2026-01-02",
    "2026-01-02T03:04:05Z", "PT1H", "a@Example.com", "YQ==", "12345678-1234-5678-1234-567812345678",
    [], ["a"], ["a ", "b"], [1, "a"], [3, 1, 2], [["a"]], {}, {"a": 1}, {"a": 1, "b": 2},
    {"a": 1.5}, {"a": "2026-01-02"}, {"a": {"b": 1}}, {"a": {"name": "x"}}, {"name": "x"},
    {"kind": "cat"}, {"kind": "dog", "lives": 1, "tags": ["x"]}, {"kind": "cat", "lives": "x"},
    {"born": "2026-01-02"}, [{"kind": "cat", "born": "2026-01-02"}, {"kind": "dog", "lives": 1}],
    [[{"kind": "cat"}]], {"inside": 1, "price": "2.50"}, {"inside": {"inside": "x"}},
    [{"inside": "red"}], [{"a": 1, "z": 2}], [{"a": "1"}], {"a": 1, "day": "2026-01-02"},
    {"when": "2026-01-02"},
]  # fmt: skip


class Declared:
    """The fields of one model: what a hypothesis example shows of it."""

    def __init__(self, fields: list[tuple[Any, Any, bool]], config: dict[str, Any]) -> None:
        self.fields = fields
        self.config = config

    def __repr__(self) -> str:
        return f"Declared({self.fields}, {self.config})"

    def make(self, base: type[BaseModel], *more: tuple[Any, Any]) -> type[BaseModel]:
        """The model, with fields `f0`, `f1` …, and `more` after them."""
        declared = {
            f"f{number}": (sort | None if is_optional else sort, default)
            for number, (sort, default, is_optional) in enumerate(self.fields)
        }
        declared |= {f"m{number}": one for number, one in enumerate(more)}
        config = ConfigDict(**self.config)
        parent = type("Parent", (base,), {"model_config": config, "__module__": __name__})
        made: type[BaseModel] = create_model("Made", __base__=parent, **declared)
        return made


_default = st.one_of(
    st.just(...),
    st.sampled_from(DEFAULTS),
    st.just(Field(default_factory=count_up())),
)
_fields = st.lists(
    st.tuples(st.sampled_from(SORTS), _default, st.booleans()), min_size=1, max_size=3
)
_declared = st.builds(Declared, _fields, st.sampled_from(CONFIGS))
_body = st.dictionaries(
    st.sampled_from(["f0", "f1", "f2", "F0", "m0", "m1", "unknown"]),
    st.sampled_from(VALUES),
)
_inner = st.dictionaries(st.sampled_from(["f0", "f1", "F0"]), st.sampled_from(VALUES))
_bodies = st.lists(
    st.builds(
        lambda body, inner, others: {**body, "m0": inner, "m1": others},
        _body,
        _inner,
        st.lists(_inner | st.none(), max_size=2),
    )
    | _body,
    min_size=1,
    max_size=4,
)


def whole(resource: Resource, body: Any) -> bytes | None:
    """The document of the way through an instance, None where the body is refused."""
    try:
        document = encode(resource, validate(resource, require_object(body)))
        return bson.encode(document, codec_options=CODEC)
    except (Invalid, OverflowError):
        return None


def quick(resource: Resource, body: Any) -> bytes | None:
    """The document of the quick way, None where it is not to be had."""
    reader = quick_reader(resource.model)
    document = reader.document(body) if reader is not None else None
    try:
        return None if document is None else bson.encode(document, codec_options=CODEC)
    except OverflowError:
        return None


def check(outer: Declared, inner: Declared | None, bodies: list[dict[str, Any]]) -> int:
    """How many of the bodies were read quickly, each as on the whole way."""
    more = []
    if inner is not None:
        nested = inner.make(BaseModel)
        more = [(nested | None, None), (list[nested | None], [])]  # type: ignore[valid-type]
    try:
        resource = make_resource(outer.make(Document, *more))  # type: ignore[arg-type]
    except DeclarationError:
        return 0
    with_key = [{"_id": KEY, **body} for body in bodies]
    read = {number: made for number, body in enumerate(with_key) if (made := quick(resource, body))}
    assert read == {number: whole(resource, with_key[number]) for number in read}
    reader = quick_reader(resource.model)
    if reader is not None:
        together = reader.documents([with_key[number] for number in read])
        assert [bson.encode(one, codec_options=CODEC) for one in together or ()] == [*read.values()]
    return len(read)


def check_any(outer: Declared, inner: Declared | None, bodies: list[dict[str, Any]]) -> None:
    """What hypothesis draws, checked."""
    check(outer, inner, bodies)


test_any_model_is_as_on_the_whole_way, test_very_many_models_are_as_on_the_whole_way = (
    some_and_many(given(_declared, st.none() | _declared, _bodies), check_any, 60, 3_000)
)


@pytest.mark.parametrize(
    ("fields", "config", "body"),
    [
        # What is unknown is refused by the model or by us: where one is open, by us.
        ([(LeftToRight, ..., False), (Open, Open(), False)], {}, {"f0": {"a": 1, "b": 2}}),
        # What has a name of its own stands once in the schema, for all models in it.
        ([(Name, ..., False), (list[Name], [], False)], {"str_to_upper": True},
         {"f0": "a", "f1": ["b"]}),
        # No value of the type, and stored all the same.
        ([(list[decimal.Decimal], "ab", False)], {}, {}),
        ([(list[decimal.Decimal], [1], False)], {}, {}),
        # A validator that can't judge what it was sent.
        ([(Annotated[str, BeforeValidator(lambda value: value.strip())], "", False)], {},
         {"f0": 5}),
    ],
)  # fmt: skip
def test_what_differed_once(
    fields: list[tuple[Any, Any, bool]], config: dict[str, Any], body: dict[str, Any]
) -> None:
    declared = Declared(fields, config)
    check(declared, None, [body])
    check(Declared([(int, 1, False)], {}), declared, [{"m0": body, "m1": [body]}])


@pytest.mark.parametrize("sort", [Animal, Called, Box[int], Strict, Ignoring, Words, Name, Pair])
def test_common_models_are_read_quickly(sort: Any) -> None:
    bodies = [{}, {"f1": "a"}]
    assert check(Declared([(sort, None, True), (str, "b", False)], {}), None, bodies) == 2
