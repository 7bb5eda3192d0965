"""A file that comes, written to disk as it comes: the part `file` of a form, or the whole body.

multipart/form-data is RFC 7578. Nothing past a limit is read, and a client that sends nothing for
too long is not waited for.
"""

import asyncio
import tempfile
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from app.errors import BadRequest, Fault, Invalid, TooLarge, UnsupportedMedia
from app.spreadsheets.format import MIB
from app.transfers.spool import make_disk_error

FORM = "multipart/form-data"
PART = "file"
_HEADERS = 16 * 1024  # bytes of a part's headers
_AROUND = MIB  # bytes of a form besides its file
_CLOSE = {"Connection": "close"}  # for what is refused before it is read

Check = Callable[[str | None, str | None], None]  # refuses a file by its name and media type


@dataclass
class Upload:
    """A file that came, in a temporary file; its name and media type as the client says."""

    file: IO[bytes]
    name: str | None = None
    media_type: str | None = None
    size: int = 0


async def receive(
    request: Request, upload: Upload, check: Check, limit: int, stall_limit: float
) -> None:
    """Writes the file of a request to `upload`; `check` is asked as soon as its kind is known.

    Raises `TooLarge` past `limit` bytes, `BadRequest` for a form that can't be read or a body that
    ends early, `Invalid` for a form without the part `file`.
    """
    media_type = request.headers.get("content-type", "")
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        detail = f"Content-Encoding {encoding} is not read here; gzip is, or none."
        raise UnsupportedMedia(detail, Fault(detail, header="Content-Encoding"), headers=_CLOSE)
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit + _AROUND:
        raise _make_too_large(limit)
    chunks = _chunks(request, stall_limit)
    if media_type.partition(";")[0].strip().lower() != FORM:
        check(None, media_type)
        upload.media_type = media_type
        async for chunk in chunks:
            _write(upload, chunk, limit)
        if encoding != "identity" and upload.size:
            _check_packed(upload)
        return
    if encoding != "identity":
        chunks = _unpack(chunks)
    form = _Form(upload, media_type, check, limit)
    async for chunk in chunks:
        form.feed(chunk)
    form.finish()


async def _chunks(request: Request, stall_limit: float) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(stall_limit):
                chunk = await anext(stream, None)
        except ClientDisconnect:
            raise BadRequest("The body ended early.") from None
        except TimeoutError:
            detail = f"No byte of the body came for {stall_limit:g} seconds."
            raise BadRequest(detail, headers=_CLOSE) from None
        if chunk is None:
            return
        yield chunk


async def _unpack(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A form that was packed as a whole (gzip, RFC 1952), a little at a time."""
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        async for chunk in chunks:
            data = chunk
            while data:
                yield unpacker.decompress(data, MIB)
                data = unpacker.unconsumed_tail
    except zlib.error as error:
        raise BadRequest(f"The body is no gzip, as Content-Encoding says: {error}.") from None
    if not unpacker.eof:
        raise BadRequest("The body ended early: its gzip is not whole.")


def _write(upload: Upload, data: bytes, limit: int) -> None:
    upload.size += len(data)
    if upload.size > limit:
        raise _make_too_large(limit)
    upload.file.write(data)


def _check_packed(upload: Upload) -> None:
    upload.file.seek(0)
    if upload.file.read(2) != b"\x1f\x8b":
        raise BadRequest("The body is no gzip, as Content-Encoding says.")


def _make_too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The file is larger than the {limit / MIB:g} MiB that are accepted (IMPORT_LIMIT_MIB).",
        headers=_CLOSE,
    )


class _Form:
    """A form being read: the part `file` goes to disk, any other is refused."""

    def __init__(self, upload: Upload, media_type: str, check: Check, limit: int) -> None:
        self._upload = upload
        self._check = check
        self._limit = limit
        self._around = 0
        self._has_file = self._is_whole = False
        self._name, self._value = b"", b""
        self._headers: dict[bytes, bytes] = {}
        boundary = parse_options_header(media_type)[1].get(b"boundary")
        if not boundary:
            detail = "The Content-Type of a form must name its boundary (RFC 7578)."
            raise BadRequest(detail, Fault(detail, header="Content-Type"))
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._on_name,
                    "on_header_value": self._on_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._on_data,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise _make_form_error(error) from None

    def feed(self, chunk: bytes) -> None:
        """Reads on."""
        self._around += len(chunk)
        if self._around > self._limit + _AROUND:
            raise _make_too_large(self._limit)
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _make_form_error(error) from None

    def finish(self) -> None:
        """Says that the body has ended."""
        if not self._is_whole:
            raise BadRequest("The form ended early: its last boundary is missing.")
        if not self._has_file:
            detail = f"The form has no part {PART!r}, which must be the file."
            raise Invalid(detail, Fault(detail, pointer=f"#/{PART}"))

    def _begin(self) -> None:
        self._headers = {}

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._refuse_long()

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._refuse_long()

    def _refuse_long(self) -> None:
        if len(self._name) + len(self._value) > _HEADERS:
            raise BadRequest("A header of the form is too long.", headers=_CLOSE)

    def _end_header(self) -> None:
        self._headers[self._name.strip().lower()] = self._value.strip()
        self._name, self._value = b"", b""

    def _end_headers(self) -> None:
        _, words = parse_options_header(self._headers.get(b"content-disposition", b""))
        part = words.get(b"name", b"").decode(errors="replace")
        if part != PART or self._has_file:
            detail = (
                f"The form may have one part, {PART!r}; options such as mode are parameters of the "
                f"address. It has {'another ' if part == PART else ''}{part[:60]!r}."
            )
            raise Invalid(detail, Fault(detail, pointer=f"#/{part[:60]}"), headers=_CLOSE)
        self._has_file = True
        name = words.get(b"filename", b"").decode(errors="replace") or None
        media_type = self._headers.get(b"content-type", b"").decode("latin-1") or None
        self._check(name, media_type)
        self._upload.name, self._upload.media_type = name, media_type

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        _write(self._upload, data[start:end], self._limit)

    def _on_end(self) -> None:
        self._is_whole = True


def _make_form_error(error: FormParserError) -> BadRequest:
    return BadRequest(f"The form can't be read: {error}.", headers=_CLOSE)


@contextmanager
def new_upload() -> Iterator[Upload]:
    """A file for what comes; raises `Unavailable` where the disk doesn't take it."""
    try:
        with new_file() as file:
            yield Upload(file)
    except OSError as error:
        raise make_disk_error(error) from error


def new_file() -> IO[bytes]:
    """A temporary file that has no name, so that it goes with the process."""
    return tempfile.TemporaryFile()
