"""A stored document as its BSON: its digest is the ETag, its decoding what is shown."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from app.resources.codec import decode
from app.resources.storing import Document


@dataclass(frozen=True)
class Stored:
    """A stored document as its BSON."""

    raw: bytes

    @cached_property
    def document(self) -> Document:
        """The document, decoded; a fresh dict that may be changed."""
        return decode(self.raw)

    @cached_property
    def etag(self) -> str:
        """The strong entity tag (RFC 9110, section 8.8.3): a digest of the whole document."""
        return f'"{hashlib.blake2b(self.raw, digest_size=12).hexdigest()}"'
