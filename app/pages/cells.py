"""A stored value as HTML, the same in tables and on the page of a document.

Missing, null and the empty text are told apart by words. Everything that came from a document is
escaped here; nothing else makes markup of it.
"""

import datetime
import json
from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from typing import Any

import bson
from bson.datetime_ms import DatetimeMS
from markupsafe import Markup

from app.pages.languages import Language
from app.resources.kinds import write_datetime
from app.resources.rendering import to_json

Write = Callable[[Any], str]


class Missing:
    """Stands for a value that is not stored."""


MISSING = Missing()


class Cells:
    """Writes the values of one language's pages."""

    def __init__(self, words: Language) -> None:
        self._words = words
        self._writers: dict[type, Write] = {
            Missing: _constant("missing", "–", words.gettext("missing")),
            type(None): _constant("null", "null", words.gettext("null")),
            bool: partial(_write_bool, {True: words.gettext("yes"), False: words.gettext("no")}),
            str: partial(_write_text, _constant("empty", "“”", words.gettext("empty text"))),
            int: str,
            bson.Int64: str,
            float: _write_number,
            bson.Decimal128: _write_number,
            datetime.datetime: _write_time,
            datetime.date: _write_date,
            DatetimeMS: _write_json,
            bson.ObjectId: _write_id,
            list: self._write_list,
            dict: _write_json,
        }

    def write(self, value: Any) -> Markup:
        """The markup of a value."""
        return Markup(self.text(value))

    def text(self, value: Any) -> str:
        """The same, as the text of a page."""
        writer = self._writers.get(type(value), _write_json)
        return writer(value)

    def _write_list(self, values: list[Any]) -> str:
        if not values:
            word = self._words.gettext("empty list")
            return f'<span class="note">{escape(word)}</span>'
        count = self._words.number(len(values))
        items = "".join(f"<li>{self.text(one)}</li>" for one in values)
        return f"<details><summary>{count}</summary><ol>{items}</ol></details>"


def _constant(kind: str, sign: str, word: str) -> Write:
    """What stands for no value: a sign, and its word for who can't see it or rests on it."""
    text = f'<span class="note {kind}" title="{escape(word)}">{escape(sign)}'
    if sign != word:
        text += f'<span class="unseen"> {escape(word)}</span>'
    text += "</span>"
    return lambda value: text


def _write_bool(words: Mapping[bool, str], value: bool) -> str:
    return f'<span class="{"yes" if value else "no"}">{escape(words[value])}</span>'


def _write_text(empty: Write, value: str) -> str:
    return escape(value) if value else empty(value)


def _write_number(value: Any) -> str:
    return escape(to_json(value).decode().strip('"'))


def _write_time(value: datetime.datetime) -> str:
    exact = write_datetime(value)
    return f'<time datetime="{exact}" title="{exact}">{exact[:16].replace("T", " ")} UTC</time>'


def _write_date(value: datetime.date) -> str:
    return f"<time>{value.isoformat()}</time>"


def _write_id(value: bson.ObjectId) -> str:
    return f"<code>{value}</code>"


def _write_json(value: Any) -> str:
    text = to_json(value).decode()
    if text.startswith('"'):  # a text by itself, such as that of a UUID, needs no quotes
        text = json.loads(text)
    return f"<code>{escape(text)}</code>"
