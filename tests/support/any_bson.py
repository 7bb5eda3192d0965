"""Document classes that hold anything, and keys of every type (`MODELS=tests.support.any_bson`)."""

import datetime
from typing import Annotated, Any

from beanie import DecimalAnnotation, Document
from pydantic import BaseModel, Field, SecretStr, create_model


class Inner(BaseModel):
    """A nested model, which other programs fill with whatever they like."""

    number: int = 1
    labels: dict[str, str] = Field(default_factory=dict)
    hidden: Annotated[str | None, Field(exclude=True)] = None


class Loose(Document):
    """Fields for anything, and typed ones."""

    free: dict[str, Any] = Field(default_factory=dict)
    anything: Any = None
    inner: Inner | None = None
    inners: dict[str, Inner] = Field(default_factory=dict)
    note: str | None = None
    span: datetime.timedelta | None = None
    secret: SecretStr | None = None

    class Settings:
        name = "loose"


def keyed_by(word: str, key: Any) -> type[Document]:
    """A class whose documents have keys of a type, in the collection `by_<word>`."""
    made: type[Document] = create_model(
        f"KeyedBy{word.title()}",
        __base__=Document,
        __module__=__name__,
        id=(key, Field(alias="_id")),
        note=(str | None, None),
    )
    made.Settings = type("Settings", (), {"name": f"by_{word}"})  # type: ignore[attr-defined]
    return made


KeyedByAny = keyed_by("any", Any)
KeyedByText = keyed_by("text", str)
KeyedByObject = keyed_by("object", dict[str, Any])
KeyedByDate = keyed_by("date", datetime.date)
KeyedByMoment = keyed_by("moment", datetime.datetime)
KeyedByBytes = keyed_by("bytes", bytes)
KeyedByFloat = keyed_by("float", float)
KeyedByDecimal = keyed_by("decimal", DecimalAnnotation)
KeyedBySpan = keyed_by("span", datetime.timedelta)
