"""Document classes that hold anything, for tests (`MODELS=tests.query.samples`)."""

from typing import Annotated, Any

from beanie import Document, Indexed
from pydantic import BaseModel, Field
from pymongo import IndexModel


class Inner(BaseModel):
    """A nested model."""

    value: Any = None


class Loose(Document):
    """Anything, without an index."""

    id: Any = Field(None, alias="_id")
    n: int
    a: Any = None
    b: Any = None
    inner: Inner | None = None
    secret: str | None = Field(None, exclude=True)

    class Settings:
        name = "loose"


class Entry(Loose):
    """The same with indexes; `code` is unique."""

    code: Annotated[Any, Indexed(unique=True)] = None

    class Settings:
        name = "entries"
        indexes = (
            IndexModel([("a", 1), ("_id", 1)]),
            IndexModel([("b", -1), ("a", 1), ("_id", -1)]),
            IndexModel([("inner.value", -1), ("_id", -1)]),
        )


class Counted(Document):
    """Fields with the names of parameters, and dicts."""

    count: int = 0
    columns: int = 0
    keyword: str = ""
    expand: str = ""
    tags: dict[str, str] = Field(default_factory=dict)
    numbers: dict[str, int] = Field(default_factory=dict)
    anything: dict[str, Any] = Field(default_factory=dict)

    class Settings:
        name = "counted"
