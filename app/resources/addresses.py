"""E-mail addresses as pydantic's `EmailStr` reads them, quickly where they are ordinary ones.

Checking the domain takes most of the time, and domains repeat.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from email_validator.rfc_constants import CASE_INSENSITIVE_MAILBOX_NAMES
from pydantic import EmailStr

_check_address: Callable[[str], str] = EmailStr._validate  # type: ignore[attr-defined]
_LONGEST = 200  # characters of an address that may go the short way; 254 are allowed
_LOCAL = 64  # characters before the @ that are allowed
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_address = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@([A-Za-z0-9.-]+)").fullmatch


def is_of_addresses(schema: Mapping[str, Any]) -> bool:
    """Whether a part of pydantic's core schema is that of `EmailStr`."""
    if schema["type"] != "function-after":
        return False
    return schema["function"]["function"] in (_check_address, read_address)


@contextmanager
def read_addresses_quickly() -> Iterator[None]:
    """While models are built: their validators read e-mail addresses by `read_address`."""
    email: Any = EmailStr
    own = email.__dict__["_validate"]
    email._validate = staticmethod(read_address)
    try:
        yield
    finally:
        email._validate = own


def read_address(text: str) -> str:
    """What `EmailStr` makes of an address; raises what it raises."""
    found = _address(text)
    if found is not None and len(text) <= _LONGEST:
        local, domain = found.groups()
        normal = _read_domain(domain)
        is_ordinary = len(local) <= _LOCAL and local.lower() not in CASE_INSENSITIVE_MAILBOX_NAMES
        if normal is not None and is_ordinary:
            return f"{local}@{normal}"
    return _check_address(text)


@lru_cache(4096)
def _read_domain(domain: str) -> str | None:
    """The domain as `EmailStr` writes it, None where it refuses it."""
    try:
        return _check_address(f"a@{domain}").rpartition("@")[2]
    except ValueError:
        return None
