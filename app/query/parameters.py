"""The parameters of lists, exports and imports, one line each; filters come from fields.

A line is read by `query/reader.py`, described by `api/descriptions.py` and offered as an option by
`docsheet export` and `docsheet import`. Its `type` reads the text of a query string, and has the
schema of what it reads.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from app.errors import Fault, Invalid, and_more
from app.query.operators import MAX_PATTERN
from app.resources.kinds import INT64
from app.resources.options import MAX_LIMIT, Options
from app.spelling import show, suggest_nearest

Taker = Literal["list", "export", "read", "import", "many"]
Schema = dict[str, Any]
MAX_NUMBER = INT64.stop - 1  # whole number that MongoDB has room for
COUNTS = ("auto", "exact", "none")
DELIMITERS = (",", ";", "|", "tab")
FORMULAS = ("escape", "keep")
CONSISTENCIES = ("snapshot", "none")
MODES = ("insert", "upsert", "update")
ON_ERROR = ("abort", "skip")
MAX_AFFECTED = 100_000  # documents that one PATCH or DELETE with conditions may write


class Type(Protocol):
    """How a parameter's text is read. An empty text never gets here: it means "not given"."""

    @property
    def schema(self) -> Schema:
        """The JSON schema."""

    def read(self, text: str) -> Any:
        """The value; raises `ValueError` with what it must be."""


@dataclass(frozen=True)
class Text:
    """A text that is read further by what it is for."""

    longest: int | None = None  # characters, for the schema

    @property
    def schema(self) -> Schema:
        return {"type": "string"} | ({"maxLength": self.longest} if self.longest else {})

    def read(self, text: str) -> str:
        return text


@dataclass(frozen=True)
class WholeNumber:
    """A whole number; without `most` of any size, where the greatest that MongoDB holds stands in.

    No collection has so many documents, so a greater number means the same.
    """

    least: int
    most: int | None = None

    @property
    def schema(self) -> Schema:
        bounds = {"minimum": self.least} | ({"maximum": self.most} if self.most else {})
        return {"type": "integer", **bounds}

    def read(self, text: str) -> int:
        digits = text.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) <= 30:
            number = int(text)
            if self.least <= number and (self.most is None or number <= self.most):
                return min(number, MAX_NUMBER)
        if self.most is None or self.most == MAX_NUMBER:
            raise ValueError(f"must be a whole number ≥ {self.least}, not {show(text)}")
        bounds = f"from {self.least} to {self.most}"
        raise ValueError(f"must be a whole number {bounds}, not {show(text)}")


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def schema(self) -> Schema:
        return {"type": "string", "enum": list(self.words)}

    def read(self, text: str) -> str:
        if text not in self.words:
            known = " ".join(self.words)
            raise ValueError(
                f"must be one of: {known}; not {show(text)}.{suggest_nearest(text, self.words)}"
            )
        return text


class Flag:
    """`true` or `false`."""

    schema: Schema = {"type": "boolean"}  # noqa: RUF012 - read, never changed

    def read(self, text: str) -> bool:
        if text not in ("true", "false"):
            raise ValueError(f"must be true or false, not {show(text)}")
        return text == "true"


@dataclass(frozen=True)
class Parameter:
    """One parameter, of the requests in `takers`.

    `declared` is the word of `class Resource:` that has the default. `of_format`: only the formats
    of export that name it in `takes` have it.
    """

    name: str
    takers: tuple[Taker, ...]
    type: Type
    description: str
    default: Any = None
    declared: str = ""
    of_format: bool = False

    def default_of(self, options: Options) -> Any:
        """The value where the parameter is absent."""
        return getattr(options, self.declared) if self.declared else self.default


_BOTH: tuple[Taker, ...] = ("list", "export")
_LIST: tuple[Taker, ...] = ("list",)
_EXPORT: tuple[Taker, ...] = ("export",)
_IMPORT: tuple[Taker, ...] = ("import",)
_MANY: tuple[Taker, ...] = ("many",)
_ANY_SIZE = WholeNumber(0)

# fmt: off
PARAMETERS: tuple[Parameter, ...] = (
    Parameter("keyword", _BOTH, Text(MAX_PATTERN),
              "A regular expression, upper and lower case alike, over {search}."),
    Parameter("sort", _LIST, Text(), "Paths with commas, `-` for descending: `-age,name`.",
              declared="sort"),
    Parameter("sort", _EXPORT, Text(), "Paths with commas, `-` for descending: `-age,name`."),
    Parameter("skip", _LIST, WholeNumber(0, MAX_NUMBER), "Documents to skip first.", 0),
    Parameter("skip", _EXPORT, _ANY_SIZE, "Documents to skip first.", 0),
    Parameter("limit", _LIST, WholeNumber(1, MAX_LIMIT), "Documents on a page.", declared="limit"),
    Parameter("limit", _EXPORT, WholeNumber(1), "At most so many documents; all without it."),
    Parameter("fields", ("list", "read"), Text(),
              "Paths with commas: only these are shown, and `_id`."),
    Parameter("expand", ("list", "read"), Text(),
              "Links with commas: the documents that they lead to, in their place."),
    Parameter("after", _LIST, Text(), "A token of the Link header: the page that it leads to."),
    Parameter("count", _LIST, Choice(COUNTS), "How to count for X-Total-Count.", "auto"),
    Parameter("columns", _EXPORT, Text(),
              "Paths with commas, each with a title if you like: `name,age:Age`; `*`."),
    Parameter("consistency", _EXPORT, Choice(CONSISTENCIES),
              "One snapshot, or whatever is stored when it is read.", "snapshot"),
    Parameter("unwind", _EXPORT, Text(), "A list whose elements become rows.", of_format=True),
    Parameter("bom", _EXPORT, Flag(), "Begin with a byte-order mark.", False, of_format=True),
    Parameter("delimiter", _EXPORT, Choice(DELIMITERS), "What separates cells.", ",",
              of_format=True),
    Parameter("formulas", _EXPORT, Choice(FORMULAS),
              "Whether texts that look like formulas get a `'`.", "escape", of_format=True),
    Parameter("timezone", _EXPORT, Text(),
              "An IANA time zone for date-times, such as Asia/Shanghai.", "UTC", of_format=True),
    Parameter("mode", _IMPORT, Choice(MODES),
              "Insert new documents, update existing ones, or whichever fits (upsert).", "insert"),
    Parameter("key", _IMPORT, Text(),
              "The field by which existing documents are found: _id, or one of a unique index."),
    Parameter("on_error", _IMPORT, Choice(ON_ERROR),
              "Where a row is wrong: write nothing, or skip that row.", "abort"),
    Parameter("dry_run", ("import", "many"), Flag(), "Only say what would happen.", False),
    Parameter("max_affected", _MANY, WholeNumber(1, MAX_AFFECTED),
              "Where more documents match, nothing is written; required."),
    Parameter("keyword", _MANY, Text(MAX_PATTERN),
              "A regular expression, upper and lower case alike, over {search}."),
    Parameter("columns", _IMPORT, Text(),
              "Titles of the file's columns, by path: `name:Full name,age:Age`.", of_format=True),
    Parameter("sheet", _IMPORT, Text(), "The sheet to read; the first by default.",
              of_format=True),
    Parameter("formulas", _IMPORT, Choice(FORMULAS),
              "Whether the `'` that an export put before texts is taken off.", "escape",
              of_format=True),
    Parameter("timezone", _IMPORT, Text(),
              "The IANA time zone of date-times without an offset.", "UTC", of_format=True),
)
# fmt: on


def parameters_of(taker: Taker, options: Collection[str] = ()) -> dict[str, Parameter]:
    """The parameters of a request by name; of those that belong to formats only these `options`."""
    return {
        parameter.name: parameter
        for parameter in PARAMETERS
        if taker in parameter.takers and (not parameter.of_format or parameter.name in options)
    }


def read_parameters(
    pairs: Sequence[tuple[str, str]],
    known: Mapping[str, Parameter],
    options: Options,
    foreign: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The values of a request that has no conditions, by name; raises `Invalid` with every fault.

    `foreign` says of parameters that belong elsewhere where.
    """
    faults: list[Fault] = []
    given: dict[str, str] = {}
    for name, text in pairs:
        problem = _refuse(name, text, given, known, foreign or {})
        if problem:
            faults.append(fault_of(name, problem))
        elif name in known:
            given[name] = text
    values: dict[str, Any] = {}
    for name, parameter in known.items():
        text = given.get(name, "")
        values[name] = parameter.default_of(options)
        try:
            values[name] = parameter.type.read(text) if text else values[name]
        except ValueError as error:
            faults.append(fault_of(name, str(error)))
    if faults:
        raise make_invalid_query(faults)
    return values


def _refuse(
    name: str,
    text: str,
    given: Mapping[str, str],
    known: Mapping[str, Parameter],
    foreign: Mapping[str, str],
) -> str:
    """Why a parameter can't be there, besides those that were given; empty where it can."""
    if name in given:
        return "it is given twice; it can have one value only"
    if name in known:
        return ""
    if name in foreign:
        return foreign[name] if text else ""
    return f"there is no such parameter here.{suggest_nearest(name, known)}"


def make_invalid_query(faults: Sequence[Fault]) -> Invalid:
    """422 with every parameter that is at fault."""
    detail = f"The query can't be accepted: {faults[0].detail}{and_more(faults)}"
    return Invalid(detail, *faults)


def fault_of(name: str, detail: str) -> Fault:
    """What is wrong with a parameter, as a sentence that begins with its name."""
    sentence = f"{name}: {detail}".rstrip(".")
    return Fault(sentence if sentence.endswith("?") else f"{sentence}.", parameter=name)
