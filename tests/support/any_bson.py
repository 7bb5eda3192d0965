"""Document classes that hold anything, and keys of every type (`MODELS=tests.support.any_bson`)."""

import datetime
from typing import Annotated, Any

from beanie import DecimalAnnotation, Document
from pydantic import BaseModel, Field, SecretStr


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


class KeyedByAny(Document):
    """Any value for a key."""

    id: Any = Field(alias="_id")
    note: str | None = None

    class Settings:
        name = "by_any"


class KeyedByText(Document):
    """A text for a key."""

    id: str = Field(alias="_id")
    note: str | None = None

    class Settings:
        name = "by_text"


class KeyedByObject(Document):
    """An object for a key."""

    id: dict[str, Any] = Field(alias="_id")
    note: str | None = None

    class Settings:
        name = "by_object"


class KeyedByDate(Document):
    """A date for a key."""

    id: datetime.date = Field(alias="_id")
    note: str | None = None

    class Settings:
        name = "by_date"


class KeyedByMoment(Document):
    """A date-time for a key."""

    id: datetime.datetime = Field(alias="_id")
    note: str | None = None

    class Settings:
        name = "by_moment"


class KeyedByBytes(Document):
    """Bytes for a key."""

    id: bytes = Field(alias="_id")
    note: str | None = None

    class Settings:
        name = "by_bytes"


class KeyedByFloat(Document):
    """A number for a key."""

    id: float = Field(alias="_id")
    note: str | None = None

    class Settings:
        name = "by_float"


class KeyedByDecimal(Document):
    """A decimal number for a key."""

    id: DecimalAnnotation = Field(alias="_id")
    note: str | None = None

    class Settings:
        name = "by_decimal"


class KeyedBySpan(Document):
    """A duration for a key."""

    id: datetime.timedelta = Field(alias="_id")
    note: str | None = None

    class Settings:
        name = "by_span"
