"""Redaction: passwords, keys and tokens of an address, hidden in what is logged and kept."""

import re
from urllib.parse import unquote_plus

HIDDEN = "…"  # in place of a value that may be secret
MAX_QUERY = 4_000  # characters of a query that a journal keeps
# What is in the names of parameters whose values may be secret: people type passwords as names.
_is_secret = re.compile(
    r"pass|pwd|secret|token|api[_-]?key|auth|credential|signature|session|username", re.IGNORECASE
).search
# Keys and tokens of our own, wherever somebody puts them: the id and the secret of a key, an access
# token, a refresh token, the token of a share or of a session.
_ours = re.compile(
    r"(?:(?<![\w-])|(?<=%[0-9a-f]{2}))(?:key_[0-9a-f]{16}(?:[.:]|%3A|%2E)[\w-]{20,}|eyJ[\w-]+\.[\w-]+\.[\w-]+"
    r"|[\w-]{22}\.[\w-]{43}(?![\w-])|[\w-]{43}(?![\w-]))",
    re.ASCII | re.IGNORECASE,
)


def hide_secrets(query: str, most: int = MAX_QUERY) -> str:
    """A query string without values that may be secret, `most` characters of it."""
    return hide_credentials("&".join(map(_hide_secret, query.split("&"))))[:most]


def hide_in_address(address: str) -> str:
    """The same for a path with its query string."""
    path, mark, query = address.partition("?")
    return f"{hide_credentials(path)}{mark}{hide_secrets(query)}"


def find_secret(part: str) -> str | None:
    """The value of a parameter, `name=value`, that may be secret; None where it is none."""
    name, mark, value = part.partition("=")
    return value if mark and _is_secret(unquote_plus(name)) else None


def _hide_secret(part: str) -> str:
    return part if find_secret(part) is None else f"{part.partition('=')[0]}={HIDDEN}"


def has_credentials(text: str) -> bool:
    """Whether a key or a token of our own is in a text."""
    return _ours.search(text) is not None


def hide_credentials(text: str) -> str:
    """A text without keys and tokens of our own."""
    return _ours.sub(HIDDEN, text)
