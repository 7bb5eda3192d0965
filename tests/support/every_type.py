"""Documents with every field type that people declare.

Served by tests as a package of their own (`MODELS`). The file imports nothing of ours, so that its
source can be copied into a temporary package: `tests.support.package`.
"""

import datetime
import enum
import uuid
from typing import Annotated, Any, Literal, Optional

from beanie import BackLink, DecimalAnnotation, Document, Indexed, Link, PydanticObjectId
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Color(str, enum.Enum):
    """An enumeration of texts."""

    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    """An enumeration of numbers."""

    LOW = 1
    HIGH = 2


class Point(BaseModel):
    """A nested model."""

    x: float
    y: float = 0.5
    label: str | None = None


class Line(BaseModel):
    """A model that nests a model and a list of them."""

    start: Point
    others: list[Point] = []


class Tree(BaseModel):
    """A model inside itself."""

    name: str
    children: list["Tree"] = []
    left: "Tree | None" = None


class Numbered(Document):
    """An integer for a key."""

    id: int = Field(alias="_id")
    name: str | None = None
    things: list[BackLink["Thing"]] | None = Field(
        None, json_schema_extra={"original_field": "link"}
    )

    class Settings:
        name = "numbered"


class Named(Document):
    """A text for a key."""

    id: str = Field(alias="_id")
    name: Annotated[str | None, Indexed(unique=True, sparse=True)] = None

    class Settings:
        name = "named"


class Coded(Document):
    """A UUID for a key, made where none is sent."""

    id: uuid.UUID = Field(default_factory=uuid.uuid4, alias="_id")
    name: str | None = None

    class Settings:
        name = "coded"


class Signed(BaseModel):
    """A model with a link."""

    by: Link[Named] | None = None
    at: str | None = None


class Thing(Document):
    """One field of each type, each optional, so that a document can have just one."""

    text: str | None = None
    whole: int | None = None
    real: float | None = None
    flag: bool | None = None
    moment: datetime.datetime | None = None
    day: datetime.date | None = None
    amount: DecimalAnnotation | None = None
    code: uuid.UUID | None = None
    color: Color | None = None
    level: Level | None = None
    word: Literal["yes", "no"] | None = None
    digit: Literal[1, 2, 3] | None = None
    ref: PydanticObjectId | None = None
    data: bytes | None = None
    span: datetime.timedelta | None = None
    anything: Any = None
    either: int | str | None = None
    texts: list[str] = []
    wholes: list[int] | None = None
    moments: list[datetime.datetime] | None = None
    days: list[datetime.date] | None = None
    amounts: list[DecimalAnnotation] | None = None
    colors: list[Color] | None = None
    refs: list[PydanticObjectId] | None = None
    datas: list[bytes] | None = None
    unique: set[str] | None = None
    pair: tuple[int, str] | None = None
    grid: list[list[int]] | None = None
    counts: dict[str, int] = {}
    labels: dict[str, str] | None = None
    amounts_by: dict[str, DecimalAnnotation] | None = None
    days_by: dict[str, datetime.date] | None = None
    points_by: dict[str, Point] | None = None
    lists_by: dict[str, list[int]] | None = None
    free: dict[str, Any] | None = None
    point: Point | None = None
    points: list[Point] = []
    line: Line | None = None
    tree: Tree | None = None
    link: Link[Numbered] | None = None
    links: list[Link[Coded]] | None = None
    signed: Signed | None = None
    all_signed: list[Signed] | None = None
    aliased: str | None = Field(None, alias="otherName")
    secret: str | None = Field(None, exclude=True)

    class Settings:
        name = "things"


class Strict(Document):
    """Required fields, constraints, no conversion of what is sent."""

    model_config = ConfigDict(strict=True)

    name: str = Field(min_length=2)
    age: Annotated[int, Field(ge=0, le=150)]
    when: datetime.datetime
    size: float = 1.5
    tags: list[str] = Field(default_factory=lambda: ["new"])

    class Settings:
        name = "strict"


class Camel(Document):
    """Every stored name is made by a generator of aliases."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    first_name: str
    birth_day: datetime.date | None = None
    home_point: Point | None = None

    class Settings:
        name = "camels"


class Open(Document):
    """Takes fields that it does not declare."""

    model_config = ConfigDict(extra="allow")

    name: str

    class Settings:
        name = "open"


class Node(Document):
    """A document that links to its own class."""

    id: int = Field(alias="_id")
    parent: Optional[Link["Node"]] = None  # noqa: UP045 - as people declare it
    children: list[BackLink["Node"]] = Field(json_schema_extra={"original_field": "parent"})

    class Settings:
        name = "nodes"


class Fixed(Document):
    """Only ever read."""

    name: str

    class Settings:
        name = "fixed"

    class Resource:
        read_only = True
