"""Every word of the pages is there in both languages."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po

from app.pages.languages import CATALOGUES, CODES, choose_language, language
from tests.support.server import ROOT

FILES = {
    "python": [*(ROOT / "app" / "pages").rglob("*.py"), *(ROOT / "app" / "auth").glob("*.py")],
    "jinja2.ext.babel_extract": [*(ROOT / "app" / "pages" / "templates").rglob("*.html")],
}
TRIMMED = {"trimmed": "true", "silent": "false", "extensions": "jinja2.ext.i18n"}
find_places = re.compile(r"%\((\w+)\)s").findall


def extract() -> Iterator[tuple[str, str]]:
    """Every message, `(one, many)` joined as in a catalogue, and its file."""
    for method, files in FILES.items():
        for path in files:
            found = extract_from_file(method, path, options=TRIMMED if "jinja" in method else None)
            for _, message, _, _ in found:
                yield message[0] if isinstance(message, tuple) else message, path.name


def read(code: str) -> Catalog:
    with (CATALOGUES / f"{code}.po").open("rb") as file:
        return read_po(file, locale=code, abort_invalid=True)


def identify(message: Any) -> str:
    return message.id[0] if isinstance(message.id, tuple) else message.id


def translations(message: Any) -> list[str]:
    return list(message.string) if isinstance(message.string, tuple | list) else [message.string]


def test_every_message_has_its_words_in_every_language() -> None:
    messages = dict(extract())
    assert len(messages) > 20
    for code in CODES[1:]:
        known = {identify(one): one for one in read(code) if one.id}
        missing = {message: file for message, file in messages.items() if message not in known}
        assert missing == {}
        empty = [word for word, one in known.items() if not all(translations(one)) or one.fuzzy]
        assert empty == []


def test_no_catalogue_has_words_that_nobody_says() -> None:
    messages = {message for message, _ in extract()}
    for code in CODES[1:]:
        assert [
            identify(one) for one in read(code) if one.id and identify(one) not in messages
        ] == []


def test_what_is_filled_in_is_the_same_in_every_language() -> None:
    for code in CODES[1:]:
        for message in read(code):
            expected = set(find_places(identify(message))) if message.id else set()
            for text in translations(message) if message.id else ():
                assert set(find_places(text)) == expected, identify(message)


def test_the_language_is_the_one_that_the_browser_likes_best() -> None:
    assert choose_language("zh-CN,zh;q=0.9,en;q=0.8") == "zh"
    assert choose_language("zh-TW") == "zh"
    assert choose_language("ZH-cn") == "zh"
    assert choose_language("en-GB,zh;q=0.5") == "en"
    assert choose_language("fr,zh;q=0.5") == "zh"
    assert choose_language("fr, de;q=x, *") == "en"
    assert choose_language("zh;q=0") == "en"


def test_numbers_and_sizes_are_in_the_form_of_the_language() -> None:
    english, chinese = language("en"), language("zh")
    assert english.number(1234567) == "1,234,567"
    assert english.size(1536) == "1.5 KiB"
    assert chinese.about(12345) == "1.2万"
    assert chinese.gettext("Search") == "搜索"


def test_no_template_trusts_a_text() -> None:
    for path in (Path(ROOT) / "app" / "pages" / "templates").rglob("*.html"):
        text = path.read_text()
        assert not re.search(r"\|\s*safe\b|autoescape false", text)
        # Jinja takes what `_` gives for markup: it is for words of our own alone.
        assert not re.search(r"(?<!\w)_\((?!['\"])", text), path
