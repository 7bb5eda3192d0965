"""What a model declares, as fields: secrets are hidden, texts are read as they are written."""

import dataclasses
import json
import pathlib
import pickle
from typing import Annotated, Any, Generic, TypeVar

import bson
import pydantic
import pytest
from beanie import Document
from pydantic import (
    AfterValidator,
    BaseModel,
    EmailStr,
    HttpUrl,
    SecretBytes,
    SecretStr,
    create_model,
)

from app.api.openapi import describe
from app.errors import DeclarationError
from app.query.compile import Compilers
from app.resources.codec import decode
from app.resources.documents import read_document, read_replacement
from app.resources.registry import make_resource
from app.resources.rendering import presenter, to_json
from app.resources.storing import to_bson
from app.resources.views import Views
from app.spreadsheets.columns import parse_columns
from tests.support.compilers import compiler_of

T = TypeVar("T")


class Login(BaseModel):
    user: str
    password: SecretStr = SecretStr("hunter2")


class Token(BaseModel):
    kind: str
    value: SecretBytes = SecretBytes(b"hunter2")


class Account(Document):
    name: str
    password: SecretStr = SecretStr("hunter2")
    code: SecretBytes | None = SecretBytes(b"hunter2")
    numbers: list[SecretStr] = [SecretStr("hunter2")]  # noqa: RUF012
    by_site: dict[str, SecretStr] = {"a": SecretStr("hunter2")}  # noqa: RUF012
    pin: pydantic.Secret[int] = pydantic.Secret(4711)
    either: SecretStr | int = SecretStr("hunter2")
    login: Login = Login(user="u")
    logins: list[Login] = [Login(user="u")]  # noqa: RUF012
    way: Login | Token = Login(user="u")
    ways: list[list[Token]] = [[Token(kind="t")]]  # noqa: RUF012
    ways_by: dict[str, Login | Token] = {"t": Token(kind="t")}  # noqa: RUF012


ACCOUNT = make_resource(Account)


def test_secrets_are_stored_and_never_shown() -> None:
    raw = to_bson(read_document(ACCOUNT, {"_id": "0" * 24, "name": "n"}))
    assert raw.count(b"hunter2") + raw.count(b"aHVudGVyMg") == 10
    assert decode(raw)["pin"] == 4711
    shown = decode(raw)
    present = presenter(ACCOUNT.shape)
    assert present is not None
    present(shown)
    text = to_json(shown)
    assert json.loads(text) == {
        "_id": "0" * 24, "name": "n", "login": {"user": "u"}, "logins": [{"user": "u"}],
        "way": {"user": "u"},
        "ways": [[{"kind": "t"}]], "ways_by": {"t": {"kind": "t"}},
    }  # fmt: skip
    assert not any(
        path in ACCOUNT.paths for path in ("password", "numbers", "by_site.a", "login.password")
    )
    columns = parse_columns(ACCOUNT.shape, None, "*", None, True)
    for column in columns:
        each = column.presenter()
        values = [decode(raw).get(column.path)]
        assert b"hunter2" not in to_json(each(values) if each else values)


def test_secrets_stay_when_others_are_replaced() -> None:
    raw = to_bson(
        read_document(ACCOUNT, {"_id": "0" * 24, "name": "n", "password": "other", "pin": 5})
    )
    after = decode(read_replacement(ACCOUNT, {"name": "m", "login": {"user": "v"}}, raw))
    assert (after["password"], after["pin"], after["login"]) == (
        "other", 5, {"user": "v", "password": "hunter2"},
    )  # fmt: skip


class Contact(Document):
    email: EmailStr | None = None
    emails: list[EmailStr] = []  # noqa: RUF012
    url: HttpUrl | None = None
    path: pathlib.PurePosixPath | None = None
    code: Annotated[str | None, pydantic.Field(max_length=5)] = None
    upper: Annotated[str, AfterValidator(str.upper)] = ""
    plain: str = ""
    person: pydantic.NameEmail | None = None
    matrix: list[list[int]] = []  # noqa: RUF012
    span: Any = None


CONTACT = make_resource(Contact)


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("email", "Ada@EXAMPLE.com", ["Ada@example.com", "Ada@EXAMPLE.com"]),
        ("email", "Ada@example.com", ["Ada@example.com"]),
        ("email", "no mail", ["no mail"]),
        ("emails", "Ada@EXAMPLE.com", ["Ada@example.com", "Ada@EXAMPLE.com"]),
        ("url", "http://x.com", ["http://x.com/", "http://x.com"]),
        ("path", "a//b/", ["a/b", "a//b/"]),
        ("code", "too long", ["too long"]),
        ("upper", "abc", ["ABC", "abc"]),
        ("plain", "X@EXAMPLE.com", ["X@EXAMPLE.com"]),
        ("person", "Ada <ada@EXAMPLE.com>", ["Ada <ada@example.com>", "Ada <ada@EXAMPLE.com>"]),
    ],
)
def test_text_is_found_as_the_model_writes_it(name: str, text: str, values: list[str]) -> None:
    assert CONTACT.shape.fields[name].readings(text) == values


class Trimmed(Document):
    model_config = pydantic.ConfigDict(str_strip_whitespace=True, str_to_lower=True)

    name: str = ""
    names: list[str] = []  # noqa: RUF012
    names_by: dict[str, str] = {}  # noqa: RUF012
    email: EmailStr | None = None


@pytest.mark.parametrize("path", ["name", "names", "names_by.a"])
def test_text_is_found_as_the_configuration_of_the_model_writes_it(path: str) -> None:
    found = make_resource(Trimmed).shape.find(path)
    assert found is not None
    assert found.field.readings(" Ada ") == ["ada", " Ada "]


def test_list_of_lists_takes_no_filter_that_finds_nothing() -> None:
    names = compiler_of(CONTACT).names.filters()
    assert [name for name in names if name.startswith("matrix")] == ["matrix__exists"]


class Box(BaseModel, Generic[T]):
    content: T


Made: Any = create_model("Made", size=(int, 1))


class Money:
    """A type of nobody's: read by a validator, stored by an encoder."""

    def __init__(self, cents: int) -> None:
        self.cents = cents

    @classmethod
    def read(cls, value: Any) -> "Money":
        return cls(round(float(value) * 100))


class Shop(Document):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)

    boxes: list[Box[str]] = []  # noqa: RUF012
    made: list[Made] = []  # noqa: RUF012
    price: Annotated[Money, pydantic.BeforeValidator(Money.read)] | None = None

    class Settings:
        name = "shop"
        bson_encoders = {Money: lambda money: money.cents}  # noqa: RUF012


def test_generic_and_created_models_travel_to_the_process_of_an_export() -> None:
    resource = make_resource(Shop)
    columns = parse_columns(resource.shape, None, "*", None, True)
    assert pickle.loads(pickle.dumps(columns)) == columns
    assert [(column.path, column.kind, column.many) for column in columns] == [
        ("boxes", "object", True), ("made", "object", True), ("price", "any", False),
    ]  # fmt: skip
    columns = parse_columns(resource.shape, None, "*", "boxes", True)
    assert columns[0].path == "boxes.content"


def test_type_of_ones_own_with_an_encoder_is_stored_and_described() -> None:
    resource = make_resource(Shop)
    document = read_document(resource, {"price": "1.50", "boxes": [{"content": "x"}]})
    assert (document["price"], document["boxes"]) == (150, [{"content": "x"}])
    assert (
        "price"
        in describe([], Compilers(Views([resource])), "", "")["components"]["schemas"]["Shop"][
            "properties"
        ]
    )
    assert bson.encode(document)


@dataclasses.dataclass
class Place:
    city: str


def test_dataclass_is_refused_at_start() -> None:
    for annotation in (Place, Place | None, list[Place], dict[str, Place]):
        body = {"__module__": __name__, "__annotations__": {"place": annotation}, "place": None}
        with pytest.raises(DeclarationError, match=r"Thing\.place: the dataclass Place"):
            make_resource(type("Thing", (Document,), body))
