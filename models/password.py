"""A password as a field: what is sent is stored as its argon2 hash, and is never shown."""

from typing import Annotated

from pwdlib import PasswordHash
from pydantic import AfterValidator, Field, ValidationInfo

_hasher = PasswordHash.recommended()


def hash_password(value: str, info: ValidationInfo) -> str:
    """The hash of a password that was sent; what is stored already is the hash, and stays."""
    stored = (info.context or {}).get("stored", {})
    if value == stored.get(info.field_name):
        return value
    return _hasher.hash(value)


Password = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(hash_password)]
