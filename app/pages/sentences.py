"""What the other rooms say of a mistake, in the reader's language.

Their sentences are English, and have values in them. A catalogue (`words/sentences.zh.po`) has each
with `{}` for a value; whatever isn't there stays as it is.
"""

import re
from dataclasses import dataclass
from functools import cache

from babel.messages.pofile import read_po

from app.pages.languages import CATALOGUES, CODES

MAX_DEPTH = 6  # sentences inside of each other
MAX_SENTENCE = 4_000  # characters of a sentence that is looked for
# `age: must be …`, `tags (tags.0): must be …`, and of a cell `age must be …`.
_with_name = re.compile(
    r"([^\s:]{1,200}(?: \([^\s()]{1,200}\))?)(?:(: )(.+)| (must be .+))", re.DOTALL
).fullmatch


@dataclass(frozen=True)
class Pattern:
    """A sentence with places for values, and the same in another language."""

    find: "re.Pattern[str]"
    translated: str


@cache
def _read_patterns(code: str) -> tuple[dict[str, str], tuple[Pattern, ...]]:
    """The sentences without values, and those with some, in the order of the catalogue."""
    with (CATALOGUES / f"sentences.{code}.po").open("rb") as file:
        messages = [(str(one.id), str(one.string)) for one in read_po(file, locale=code) if one.id]
    plain = {sentence: translated for sentence, translated in messages if "{}" not in sentence}
    others = [one for one in messages if "{}" in one[0]]
    return plain, tuple(_pattern(sentence, translated) for sentence, translated in others)


def _pattern(sentence: str, translated: str) -> Pattern:
    parts = [re.escape(part) for part in sentence.split("{}")]
    return Pattern(re.compile("(.*?)".join(parts), re.DOTALL), translated)


def translate(code: str, sentence: str) -> str:
    """The sentence in the language of a code, values and unknown sentences as they are."""
    if code == CODES[0] or len(sentence) > MAX_SENTENCE:
        return sentence
    return _translate(code, sentence, 0)


def _translate(code: str, sentence: str, level: int) -> str:
    if level > MAX_DEPTH or not sentence:
        return sentence
    found = _find(code, sentence, level)
    if found is None:  # inside another one it has no full stop
        bare = _find(code, f"{sentence}.", level)
        found = bare.removesuffix("。") if bare is not None else None
    return sentence if found is None else found


def _find(code: str, sentence: str, level: int) -> str | None:
    plain, patterns = _read_patterns(code)
    if sentence in plain:
        return plain[sentence]
    named = _with_name(sentence)
    whole = _translate_named(code, named, level) if named is not None else None
    if whole is not None:
        return whole
    for pattern in patterns:
        found = pattern.find.fullmatch(sentence)
        if found is not None:
            values = [_translate(code, value.strip(), level + 1) for value in found.groups()]
            return pattern.translated.format(*values)
    return None


def _translate_named(code: str, named: "re.Match[str]", level: int) -> str | None:
    name, colon, rest = named[1], named[2], named[3] or named[4]
    inner = _translate(code, rest, level + 1)
    if inner == rest:
        return None
    return f"{name}：{inner}" if colon else f"{name} {inner}"
