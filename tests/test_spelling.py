"""The nearest of the known words."""

import pytest

from app.spelling import suggest_nearest


@pytest.mark.parametrize(
    ("word", "known", "found"),
    [
        ("nmae", ["name", "age"], " Did you mean 'name'?"),
        ("NAME", ["name"], " Did you mean 'name'?"),
        ("abcdefg", ["abc"], " Did you mean 'abc'?"),  # as long as a word can be that is alike
        ("abcdefgh", ["abc"], ""),
        ("zzz", ["name"], ""),
        ("name", [], ""),
        ("", ["name"], ""),
    ],
)
def test_the_nearest_word_is_suggested(word: str, known: list[str], found: str) -> None:
    assert suggest_nearest(word, known) == found


def test_a_word_that_is_much_longer_than_all_others_is_not_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would take seconds."""
    monkeypatch.setattr("app.spelling.difflib", None)
    assert suggest_nearest("x" * 1_000_000, ["name", "x" * 100]) == ""
