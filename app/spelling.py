"""What messages repeat of a text, and the nearest of the known words for whoever mistyped one."""

import difflib
from collections.abc import Iterable

ALIKE = 0.6  # of what two words have, what they must have in common
SHOWN = 60  # characters of a text that a message repeats


def show(text: str) -> str:
    """A text as a message repeats it: its beginning, in quotes."""
    return repr(text[:SHOWN])


def suggest_nearest(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` with the nearest of the known words, whatever the case, or nothing."""
    words, word = {one.lower(): one for one in known}, word.lower()
    # The likeness of two words is twice what they have in common by what they have in all.
    longest = max(map(len, words), default=0)
    if 2 * longest < ALIKE * (len(word) + longest):
        return ""  # and a long one would take seconds to look at
    found = difflib.get_close_matches(word, words, 1, ALIKE)
    return f" Did you mean {words[found[0]]!r}?" if found else ""
