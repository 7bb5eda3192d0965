"""A form of a page as a browser without scripts reads and sends it (WHATWG HTML, 4.10)."""

import datetime
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx


@dataclass
class Form:
    """The controls of a form, in their order; `set`, then `send` it by a button."""

    address: str
    pairs: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)
    radios: set[str] = field(default_factory=set)

    def get(self, name: str) -> str:
        """What a control holds."""
        return next(value for known, value in self.pairs if known == name)

    def names(self) -> list[str]:
        """The names of what is sent."""
        return [name for name, _ in self.pairs]

    def set(self, name: str, value: str) -> "Form":
        """Types into a control, or chooses in it."""
        assert name in self.names() or name in self.radios, (name, self.names())
        others = [(known, old) for known, old in self.pairs if known != name]
        at = next((n for n, pair in enumerate(self.pairs) if pair[0] == name), len(others))
        self.pairs = [*others[:at], (name, value), *others[at:]]
        return self

    def send(self, http: httpx.Client, button: str = "save") -> httpx.Response:
        """Presses a button."""
        assert not button or ("do", button) in self.buttons, (button, self.buttons)
        data = [*self.pairs, ("do", button)] if button else self.pairs
        headers = {"Accept": "text/html"}
        return http.post(self.address, content=encode(data), headers=headers | TYPE)

    def press(self, http: httpx.Client, button: str) -> "Form":
        """Presses a button that shows the form again."""
        answer = self.send(http, button)
        assert answer.status_code == 200, answer.text
        return read_form(answer)


TYPE = {"Content-Type": "application/x-www-form-urlencoded"}


def encode(pairs: list[tuple[str, str]]) -> bytes:
    """`application/x-www-form-urlencoded`."""
    return str(httpx.QueryParams(pairs)).encode()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.form: Form | None = None
        self._inside = False
        self._area: str | None = None
        self._text = ""
        self._select: str | None = None
        self._chosen: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = given.get("method") == "post" and "preferences" not in str(given)
            if self._inside:
                self.form = Form(given.get("action", ""))
        if not self._inside or self.form is None:
            return
        name = given.get("name", "")
        if tag == "input" and name:
            self._take_input(given, name)
        elif tag == "button" and name:
            self.form.buttons.append((name, given.get("value", "")))
        elif tag == "textarea":
            self._area, self._text = name, ""
        elif tag == "select":
            self._select, self._chosen = name, None
        elif tag == "option" and (self._chosen is None or "selected" in given):
            self._chosen = given.get("value", "")

    def _take_input(self, given: dict[str, str], name: str) -> None:
        assert self.form is not None
        kind, value = given.get("type", "text"), given.get("value", "").replace("\0", "\ufffd")
        if kind == "radio":
            self.form.radios.add(name)
            if "checked" not in given:
                return
        if kind in ("text", "password"):
            value = value.replace("\r", "").replace("\n", "")
        if kind == "datetime-local" and value:
            value = _shorten(value)
        self.form.pairs.append((name, _end_lines(value)))

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        if self.form is None or not self._inside:
            return
        if tag == "textarea" and self._area is not None:
            text = self._text.replace("\r\n", "\n").replace("\0", "\ufffd")
            self.form.pairs.append((self._area, _end_lines(text.removeprefix("\n"))))
            self._area = None
        if tag == "select" and self._select is not None:
            self.form.pairs.append((self._select, self._chosen or ""))
            self._select = None


def _shorten(value: str) -> str:
    """A local date-time as a browser writes it: without seconds that are none."""
    moment = datetime.datetime.fromisoformat(value)
    if moment.microsecond:
        return moment.isoformat(timespec="milliseconds")
    return moment.isoformat(timespec="seconds" if moment.second else "minutes")


def _end_lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")


def read_form(answer: httpx.Response) -> Form:
    """The form of a page."""
    reader = _Reader()
    reader.feed(answer.text)
    reader.close()
    assert reader.form is not None, answer.text
    if not reader.form.address:
        reader.form.address = str(answer.request.url)
    return reader.form


def faults(answer: httpx.Response) -> str:
    """What a page says is wrong."""
    return "\n".join(re.findall(r'(?s)<div class="faults".*?</div>', answer.text))


def open_form(http: httpx.Client, address: str, **words: Any) -> Form:
    """The form at an address."""
    answer = http.get(address, headers={"Accept": "text/html"}, **words)
    assert answer.status_code == 200, answer.text
    return read_form(answer)
