"""JSON with every digit of its integers, of which orjson makes doubles past 64 bits (RFC 8259, 6).

For `parse_int` and `parse_float` of the standard library's `json`. What neither an integer of
MongoDB nor a double can hold is a number here, so that whoever checks it can say where it is.
"""

import math
import re

MAX_DIGITS = 40  # of an integer that is read: Python refuses to read thousands of them
# Whether some JSON may have an integer of more than 64 bits; the digits of a fraction count, too.
has_long_integer = re.compile(rb"[0-9]{19}").search


class BeyondDouble(float):
    """A number in JSON that no double can hold; orjson writes no such class by accident."""


def read_integer(text: str) -> int:
    """The integer; one of too many digits as another that is too large for MongoDB as well."""
    return int(text) if len(text) < MAX_DIGITS else 10**MAX_DIGITS


def read_float(text: str) -> float:
    """The double, a `BeyondDouble` where it would be infinite."""
    value = float(text)
    return value if math.isfinite(value) else BeyondDouble(value)
