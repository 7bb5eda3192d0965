"""Whether two JSON values are the same, as a client sees them."""

from typing import Any


def is_same(one: Any, other: Any, *, exactly: bool) -> bool:
    """Whether two JSON values are equal; where not `exactly`, 1 equals 1.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            is_same(value, other[name], exactly=exactly) for name, value in one.items()
        )
    if isinstance(one, list) and isinstance(other, list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(is_same(*pair, exactly=exactly) for pair in pairs)
    if isinstance(one, float) and isinstance(other, float):
        return repr(one) == repr(other)  # which 0.0 and -0.0 have not in common
    if type(one) is not type(other) and (exactly or {bool, str} & {type(one), type(other)}):
        return False
    return bool(one == other)
