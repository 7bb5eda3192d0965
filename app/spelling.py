"""What messages repeat of a text, and the nearest of the known words for whoever mistyped one."""

import difflib
from collections.abc import Iterable

SHOWN = 60  # characters of a text that a message repeats


def show(text: str) -> str:
    """A text as a message repeats it: its beginning, in quotes."""
    return repr(text[:SHOWN])


def suggest_nearest(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` with the nearest of the known words, whatever the case, or nothing."""
    words = {one.lower(): one for one in known}
    found = difflib.get_close_matches(word.lower(), words, 1, 0.6)
    return f" Did you mean {words[found[0]]!r}?" if found else ""
