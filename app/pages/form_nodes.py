"""The nodes of a form: leaves are controls, groups are nested models, rows are lists and maps.

Each node knows its `original`, what is stored as JSON, and gives it back as long as nobody touched
its controls. Names of controls are JSON pointers (RFC 6901) in which the entries of a map are
numbered, for their keys are typed too:

    /profile/addresses/0/city     the text in a control
    state:/profile/bio            missing, null or value, as which an empty text counts
    rows:/profile/addresses       how many there are
    was:/profile/addresses/0      which of the stored ones a row is
    key:/labels/0                 the key of an entry
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal
from urllib.parse import quote

from pydantic.fields import FieldInfo

from app.pages.cells import MISSING
from app.pages.inputs import LONG, Input, Json, normalize
from app.pages.languages import N_
from app.pages.picks import Pick
from app.resources.fields import Field
from app.resources.limits import MIN_LENGTH, list_limits, takes_null

State = Literal["missing", "null", "value"]
Path = tuple[str, ...]  # steps into a document
NO_KEY = N_("Type a name for this entry.")
TWICE = N_("This name is there twice.")
NO_VALUE = N_("Type a value for this entry.")
SAFE = "~!$&'()*+,;=:@"  # characters that a pointer in a URI has as they are (RFC 6901)
EXTRA = ""  # the step of what a model takes besides its fields, which have names


@dataclass(frozen=True)
class Place:
    """What the model says of the place of a node.

    `is_unknown`: another program stored it there. `is_hidden`: what is stored is not shown.
    """

    title: str
    field: Field
    info: FieldInfo | None = None
    is_unknown: bool = False
    is_hidden: bool = False
    is_row: bool = False

    @property
    def is_required(self) -> bool:
        """Whether it must be there."""
        return self.info is not None and self.info.is_required()

    @property
    def can_go(self) -> bool:
        """Whether it may be removed; rows are removed from their list."""
        return not (self.is_required or self.is_hidden or self.is_row)

    @property
    def can_be_forgotten(self) -> bool:
        """Whether null may be stored for what is not shown."""
        takes = self.info is not None and takes_null(self.info)
        return takes and self.is_hidden and not self.is_row

    @property
    def takes_empty_text(self) -> bool:
        """Whether the model has nothing against an empty text."""
        limits = dict(list_limits(self.info)) if self.info is not None else {}
        return not limits.get(MIN_LENGTH)

    @property
    def takes_null(self) -> bool:
        """Whether null is another thing than to remove it, which leaves null or its default."""
        if self.info is None or not takes_null(self.info):
            return False
        has_factory = self.info.default_factory is not None
        return self.info.is_required() or has_factory or self.info.get_default() is not None


class Reading:
    """What a form says: which node each place of the document comes from."""

    def __init__(self) -> None:
        self.nodes: dict[Path, Node] = {}
        self.is_readable = True

    def refuse(self, node: "Node", sentence: str) -> None:
        """Notes what can't be read in a node."""
        node.errors.append(sentence)
        self.is_readable = False

    def find(self, path: Path) -> "tuple[Node | None, Path]":
        """The node of a place, or of the nearest one around it; and the steps on from there."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.nodes:
                return self.nodes[path[:length]], path[length:]
        return None, path


@dataclass
class Node:
    """One part of a form; `focus` names the control that is to have the focus."""

    draws: ClassVar[str]
    name: str
    place: Place
    original: Any
    state: State = "value"
    errors: list[str] = field(default_factory=list)
    focus: str = ""

    def read(self, reading: Reading, path: Path) -> Any:
        """The JSON that it stands for, `MISSING` where there is none."""
        reading.nodes[path] = self
        if self.state != "value":
            return None if self.state == "null" else MISSING
        return self.read_value(reading, path)

    def read_value(self, reading: Reading, path: Path) -> Any:
        """The same where there is one."""
        raise NotImplementedError

    def list_inner(self) -> "Iterator[Node]":
        """The nodes in it."""
        yield from ()

    def walk(self) -> "Iterator[Node]":
        """Itself and all nodes in it, in their order."""
        yield self
        for node in self.list_inner():
            yield from node.walk()

    def rename(self, name: str) -> None:
        """Gives it another name, and what is in it."""
        self.name = name

    @property
    def is_stored(self) -> bool:
        """Whether there is something stored, null too."""
        return self.original is not MISSING

    @property
    def is_changed_to_nothing(self) -> bool:
        """Whether a stored value goes when this is saved."""
        return self.state != "value" and self.original is not MISSING and self.original is not None


@dataclass
class Fixed(Node):
    """What is shown and can't be written."""

    draws: ClassVar[str] = "fixed"

    def read(self, reading: Reading, path: Path) -> Any:
        reading.nodes[path] = self
        return self.original


@dataclass
class Leaf(Node):
    """One value in one control."""

    draws: ClassVar[str] = "leaf"
    input: Input = field(default_factory=Json)
    text: str = ""
    picks: Sequence[Pick] = ()  # documents to choose from, of a link

    @property
    def control(self) -> str:
        """The part of the template that draws it; a long text has several lines."""
        is_long = "\n" in self.text or "\r" in self.text or len(self.text) > LONG
        return "area" if is_long and self.input.control == "line" else self.input.control

    def read(self, reading: Reading, path: Path) -> Any:
        reading.nodes[path] = self
        if self.is_untouched:
            return self.original
        if not self.input.is_empty(self.text):
            return self._read_text(reading)
        if self.state == "null":
            return None
        has_value = self.state == "value" and self.input.takes_empty
        return "" if has_value else MISSING

    @property
    def is_untouched(self) -> bool:
        """Whether the control still has what the stored value was written as."""
        if self.state != "value" or self.original is MISSING or self.original is None:
            return False
        return self.input.is_same(self.text, self.original)

    def _read_text(self, reading: Reading) -> Any:
        try:
            return self.input.read(self.text)
        except ValueError as error:
            reading.refuse(self, str(error))
            return self.original


@dataclass
class Group(Node):
    """A nested model, or the document itself; `extra` are fields that an open model takes."""

    draws: ClassVar[str] = "group"
    nodes: dict[str, Node] = field(default_factory=dict)
    extra: "Rows | None" = None

    def read_value(self, reading: Reading, path: Path) -> Any:
        read = {name: node.read(reading, (*path, name)) for name, node in self.nodes.items()}
        value = {name: one for name, one in read.items() if one is not MISSING}
        if self.extra is not None:
            for name, one in self.extra.read_value(reading, path).items():
                if name in value or name in self.nodes:
                    reading.refuse(self.extra, TWICE)
                value[name] = one
            reading.nodes[path] = self
        return value

    def list_inner(self) -> Iterator[Node]:
        yield from self.nodes.values()
        if self.extra is not None:
            yield self.extra

    def rename(self, name: str) -> None:
        self.name = name
        for step, node in self.nodes.items():
            node.rename(join(name, step))
        if self.extra is not None:
            self.extra.rename(join(name, EXTRA))


@dataclass
class Row:
    """An element of a list, or an entry of a map: `was` is the number of the stored one, if any.

    `stored_key` is that one's key, with whatever a control can't show of it.
    """

    node: Node
    was: str | None = None
    key: str = ""
    stored_key: str | None = None

    def read_key(self) -> str:
        """The key as it is stored where nobody changed it."""
        is_same = self.stored_key is not None and flatten(self.key) == flatten(self.stored_key)
        return self.stored_key if is_same and self.stored_key is not None else self.key


@dataclass
class Rows(Node):
    """A list or a map; `make` makes a new row."""

    draws: ClassVar[str] = "rows"
    rows: list[Row] = field(default_factory=list)
    is_map: bool = False
    make: Callable[[str], Row] = field(kw_only=True)

    def read_value(self, reading: Reading, path: Path) -> Any:
        return self._read_map(reading, path) if self.is_map else self._read_list(reading, path)

    def _read_list(self, reading: Reading, path: Path) -> list[Any]:
        values: list[Any] = []
        for row in self.rows:
            value = row.node.read(reading, (*path, str(len(values))))
            if value is not MISSING:
                values.append(value)
        return values

    def _read_map(self, reading: Reading, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for row in self.rows:
            key = row.read_key()
            value = row.node.read(reading, (*path, key))
            if key in values:
                reading.refuse(row.node, TWICE)
            elif not key and row.stored_key != "":
                reading.refuse(row.node, NO_KEY)
            elif value is MISSING:
                reading.refuse(row.node, NO_VALUE)
            else:
                values[key] = value
        return values

    def list_inner(self) -> Iterator[Node]:
        for row in self.rows:
            yield row.node

    def rename(self, name: str) -> None:
        self.name = name
        for number, row in enumerate(self.rows):
            row.node.rename(join(name, str(number)))


def flatten(text: str) -> str:
    """A text as the control of one line sends it back."""
    return normalize(text).replace("\n", "")


def join(name: str, step: str) -> str:
    """The name of what is inside a node."""
    escaped = step.replace("~", "~0").replace("/", "~1").encode(errors="replace")
    return f"{name}/{quote(escaped, safe=SAFE)}"
