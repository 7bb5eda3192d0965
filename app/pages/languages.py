"""The languages of the pages: their words, and how each writes numbers and sizes.

A catalogue is gettext's text form (`words/zh.po`); English is the language of the messages.
"""

import datetime
import io
from dataclasses import dataclass
from functools import cache, lru_cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import Literal

from babel import Locale, negotiate_locale
from babel.dates import format_timedelta
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_compact_decimal, format_decimal

from app.api.negotiation import read_weights

CODES = ("en", "zh")  # the first one where none is asked for
NAMES = {"en": "English", "zh": "中文"}
TAGS = {"en": "en", "zh": "zh-CN"}  # as HTML has it (BCP 47)
CATALOGUES = Path(__file__).parent / "words"
MAX_ACCEPTED = 1_000  # characters of `Accept-Language` that are read
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def N_(message: str) -> str:
    """The message itself, which is translated where it is shown; marks it for the catalogue."""
    return message


@dataclass(frozen=True)
class Language:
    """One language."""

    code: str
    locale: Locale
    translations: NullTranslations

    @property
    def tag(self) -> str:
        """The language tag of its pages."""
        return TAGS[self.code]

    def gettext(self, message: str) -> str:
        """A message in this language."""
        return self.translations.gettext(message)

    def ngettext(self, one: str, many: str, number: int) -> str:
        """The message for a number of things."""
        return self.translations.ngettext(one, many, number)

    def number(self, value: float) -> str:
        """A number that we counted: `1,234`."""
        return _format_number(self.code, value)

    def about(self, value: float) -> str:
        """About how many: `12K`, `1.2万`."""
        return format_compact_decimal(value, locale=self.locale, fraction_digits=1)

    def size(self, number: float) -> str:
        """So many bytes: `1.5 MiB`."""
        unit = 0
        while number >= 1024 and unit < len(_UNITS) - 1:
            number, unit = number / 1024, unit + 1
        return f"{format_decimal(round(number, 1), locale=self.locale)} {_UNITS[unit]}"

    def duration(self, seconds: float) -> str:
        """So long: `3 minutes`."""
        style: Literal["long", "narrow"] = "narrow" if self.code == "zh" else "long"
        return format_timedelta(
            datetime.timedelta(seconds=seconds), format=style, locale=self.locale
        )


@lru_cache(maxsize=10_000)
def _format_number(code: str, value: float) -> str:
    return format_decimal(value, locale=Locale.parse(code))


@cache
def language(code: str) -> Language:
    """The language of a code, one of `CODES`."""
    return Language(code, Locale.parse(code), _read_catalogue(code))


def _read_catalogue(code: str) -> NullTranslations:
    path = CATALOGUES / f"{code}.po"
    if not path.exists():  # of the messages themselves
        return NullTranslations()
    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=code))
    compiled.seek(0)
    return GNUTranslations(compiled)


@lru_cache(maxsize=256)
def choose_language(accepted: str) -> str:
    """The code that `Accept-Language` likes best (RFC 9110, section 12.5.4)."""
    weights = read_weights([accepted[:MAX_ACCEPTED]])
    liked = sorted((tag for tag in weights if weights[tag] > 0), key=lambda tag: -weights[tag])
    return negotiate_locale([tag.replace("-", "_") for tag in liked], CODES) or CODES[0]
