"""The conditions of an address in words, each of which can be taken off, or changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from markupsafe import Markup, escape

from app.pages import addresses, own_values
from app.pages.addresses import Pairs
from app.pages.languages import Language
from app.pages.operators import describe_condition
from app.pages.tables import cells_of
from app.pages.titles import title_whole
from app.query.names import Lookup, Names
from app.resources.kinds import KINDS

MAX_VALUE = 500  # characters of values that go into the address of the form
Linked = Mapping[tuple[str, str], str]  # what documents are called, by collection and `_id`


@dataclass(frozen=True)
class Asking:
    """One condition of an address: its pairs there, and the texts that it compares with."""

    asked: Lookup
    pairs: tuple[tuple[str, str], ...]
    texts: tuple[str, ...]

    @property
    def links(self) -> list[tuple[str, str]]:
        """The linked documents that it compares with, by collection and `_id`."""
        target = self.asked.found.field.target
        if target is None or self.asked.operator.takes == "presence":
            return []
        return [(target.collection, text) for text in self.texts]


@dataclass(frozen=True)
class Pill:
    """A condition in words, with the addresses of the table without it, and of its form."""

    title: str
    words: str
    values: tuple[Markup, ...]
    remove: str
    edit: str | None


def list_askings(names: Names, pairs: Pairs) -> list[Asking]:
    """The conditions of an address, in its order."""
    found: dict[object, Asking] = {}
    for number, (name, text) in enumerate(pairs):
        asked = names.find_lookup(name)
        if asked is None or _is_absent(asked, text):
            continue
        # What takes several values is one condition, however often it is there.
        key: object = name if asked.operator.takes == "values" else number
        known = found.get(key)
        before = known.pairs if known is not None else ()
        every = (*before, (name, text))
        found[key] = Asking(asked, every, split_values(asked, [value for _, value in every]))
    return list(found.values())


def list_unfiltered(names: Names, pairs: Pairs) -> list[tuple[str, str]]:
    """The pairs of an address that are no conditions, but for where its page begins."""
    rest = addresses.without(pairs, "after", "skip")
    return [pair for pair in rest if names.find_lookup(pair[0]) is None]


def _is_absent(asked: Lookup, text: str) -> bool:
    takes = asked.operator.takes
    is_text = asked.found.field.kind == "text" and takes not in ("presence", "pattern")
    return not text and not is_text and takes != "literal"


def split_values(asked: Lookup, texts: Sequence[str]) -> tuple[str, ...]:
    """The values of a filter: one text for several is split at its commas."""
    if asked.operator.takes == "values" and len(texts) == 1:
        return tuple(texts[0].split(","))
    return tuple(texts)


class Pills:
    """Makes the pills of one screen; `linked` says what linked documents are called."""

    def __init__(
        self, names: Names, address: str, pairs: Pairs, words: Language, linked: Linked
    ) -> None:
        self._names = names
        self._address = address
        self._pairs = pairs
        self._words = words
        self._linked = linked
        self._cells = cells_of(words.code)

    def make_all(self, askings: Sequence[Asking]) -> list[Pill]:
        """The pills of the conditions."""
        return [self._make(asking) for asking in askings]

    def _make(self, asking: Asking) -> Pill:
        asked = asking.asked
        values = () if asked.operator.takes == "presence" else tuple(self._values(asking))
        return Pill(
            name_asked(self._names, asked),
            describe_condition(self._words, asked, asking.texts[0]),
            values,
            addresses.with_pairs(self._address, self._without(asking)),
            self._address_of_form(asking),
        )

    def _without(self, asking: Asking) -> list[tuple[str, str]]:
        return take_off(addresses.without(self._pairs, "after", "skip"), asking.pairs)

    def _address_of_form(self, asking: Asking) -> str | None:
        if sum(map(len, asking.texts)) > MAX_VALUE:
            return None
        asked = asking.asked
        pairs = [("field", asked.path), ("op", asked.operator.name)]
        pairs += [("value", text) for text in asking.texts]
        pairs += [("old", urlencode(asking.pairs)), ("back", urlencode(self._pairs))]
        return addresses.with_pairs(f"{self._address}table/filter", pairs)

    def _values(self, asking: Asking) -> Iterator[Markup]:
        named = dict(zip(asking.texts, asking.links, strict=False))
        for text in asking.texts:
            name = self._linked.get(named.get(text, ("", "")))
            yield escape(name) if name is not None else self._show(asking.asked, text)

    def _show(self, asked: Lookup, text: str) -> Markup:
        field = asked.found.field
        if own_values.are_own(self._names.resource, field) and asked.operator.takes in _COMPARED:
            return own_values.write(self._words, text)
        read = KINDS[field.kind].read
        is_shown = field.kind in ("bool", "datetime") and asked.operator.takes in _COMPARED
        if not text or (is_shown and read is not None):
            try:
                return self._cells.write(read(text) if read is not None and text else text)
            except ValueError:  # which the table says
                pass
        return escape(text)


_COMPARED = ("value", "values")


def take_off(pairs: Pairs, gone: Pairs) -> list[tuple[str, str]]:
    """The pairs without these, each once."""
    rest = list(pairs)
    for pair in gone:
        if pair in rest:
            rest.remove(pair)
    return rest


def name_asked(names: Names, asked: Lookup) -> str:
    """What the field of a condition is called, with the links and models on the way to it."""
    titles = []
    for link in asked.links:
        titles.append(title_whole(names.resource.shape, link.path))
        names = names.follow(link) or names
    titles.append(title_whole(names.resource.shape, asked.found.path))
    if len(titles) == 1:
        return titles[0]
    return " › ".join(filter(None, titles))
