"""Conditional requests (RFC 9110, section 13): what `If-Match` and `If-None-Match` say."""

import re
from collections.abc import Callable

from starlette.requests import Request

from app.errors import Fault, Invalid, PreconditionFailed
from app.spelling import show

ANY = "*"
# One tag of a list, with what stands around it. `W/` is overlooked: a proxy that compresses adds
# it.
_tag = re.compile(r'[ \t,]*(?:W/)?("[^"\x00-\x20\x7f]*")[ \t]*(?:,|$)').match


class Conditions:
    """The conditions of one request; raises `Invalid` where a header has what is no tag."""

    def __init__(self, request: Request) -> None:
        sent = dict(request.scope["headers"])
        self._match = _read(request, "If-Match") if b"if-match" in sent else None
        self._none_match = _read(request, "If-None-Match") if b"if-none-match" in sent else None

    def for_write(self) -> Callable[[str], bool] | None:
        """What a write asks of the stored document's ETag; None where there is no condition.

        It raises `PreconditionFailed` with the header that the ETag doesn't meet.
        """
        if self._match is None and self._none_match is None:
            return None
        return self._meets

    def is_current(self, etag: str) -> bool:
        """Whether the client of a read has this document already (304).

        Raises `PreconditionFailed` where `If-Match` names another one.
        """
        self._check_match(etag)
        return self._none_match is not None and _names(self._none_match, etag)

    def check_collection(self) -> None:
        """Raises `PreconditionFailed` where a write of many has a condition that can't hold.

        A collection is there, but has no tag of its own.
        """
        if self._match not in (None, [ANY]):
            detail = "A collection has no ETag, so If-Match can't name it; write each by its _id."
            raise PreconditionFailed(detail, Fault(detail, header="If-Match"))
        if self._none_match == [ANY]:
            detail = "The collection is there, which If-None-Match: * forbids."
            raise PreconditionFailed(detail, Fault(detail, header="If-None-Match"))

    def _meets(self, etag: str) -> bool:
        self._check_match(etag)
        if self._none_match is not None and _names(self._none_match, etag):
            detail = "The document is one that If-None-Match names, so it is left as it is."
            raise PreconditionFailed(detail, Fault(detail, header="If-None-Match"))
        return True

    def _check_match(self, etag: str) -> None:
        if self._match is not None and not _names(self._match, etag):
            detail = "The document is no longer the one that If-Match names; read it again."
            raise PreconditionFailed(detail, Fault(detail, header="If-Match"))


def _names(tags: list[str], etag: str) -> bool:
    return tags == [ANY] or etag in tags


def _read(request: Request, header: str) -> list[str]:
    """The tags of a header, without `W/`."""
    text = ", ".join(request.headers.getlist(header))
    if text.strip() == ANY:
        return [ANY]
    tags, end = [], 0
    while found := _tag(text, end):
        tags.append(found[1])
        end = found.end()
    if not tags or text[end:].strip(" \t,"):
        detail = (
            f'{header}: must be a tag in double quotes, as ETag shows it ("5f43a1b2"), several '
            f"with commas between them, or *; not {show(text)}."
        )
        raise Invalid(detail, Fault(detail, header=header))
    return tags
