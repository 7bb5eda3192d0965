"""A file that came → its format and its reader, by name or media type; gzip is unpacked."""

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import IO, BinaryIO, cast

from isal import igzip, igzip_lib

from app.errors import BadRequest, Fault, TooLarge, UnsupportedMedia
from app.spreadsheets.format import MIB, Format, Limits, Reader, ReadOptions
from app.spreadsheets.formats import FORMATS

_GZIP = b"\x1f\x8b"  # RFC 1952, 2.3.1
_BROKEN = (OSError, EOFError, zlib.error, cast("type[Exception]", igzip_lib.IsalError))
_IN_MEMORY = MIB  # bytes of an unpacked file


def find_format(name: str | None, media_type: str | None) -> Format:
    """The format of a file by its name's ending where it has one, else by its media type.

    `.gz` at the end of the name is overlooked. Raises `UnsupportedMedia` that names what is read.
    """
    ending = _ending(name or "")
    readable = [format for format in dict.fromkeys(FORMATS.values()) if format.reader]
    if ending:
        for format in readable:
            if ending in (format.extension, *format.names, *format.endings):
                return format
        detail = f"A file .{ending} is not read here; {_list_known(readable)}."
        raise UnsupportedMedia(detail, Fault(detail, pointer="#/file"))
    plain = (media_type or "").partition(";")[0].strip().lower()
    for format in readable:
        if plain in (*format.media_types, format.media_type.partition(";")[0]):
            return format
    what = f"The media type {plain} is" if plain else "A file without name and media type is"
    detail = f"{what} not read here; {_list_known(readable)}."
    raise UnsupportedMedia(detail, Fault(detail, header="Content-Type"))


@contextmanager
def open_reader(format: Format, file: BinaryIO, options: ReadOptions) -> Iterator[Reader]:
    """The reader of a file in that format, plain or gzip; raises what `Reader` says."""
    if format.reader is None:
        raise UnsupportedMedia(f"{format.extension} is written here, but not read.")
    with unpack(file, options.limits) as plain:
        yield format.reader(plain, options)


@contextmanager
def unpack(file: BinaryIO, limits: Limits) -> Iterator[BinaryIO]:
    """The file itself, or, where it is gzip, what is in it: on disk past a megabyte.

    Raises `BadRequest` for a broken one and `TooLarge` past the limit of its size.
    """
    file.seek(0)
    packed = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    if not packed:
        yield file
        return
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as plain:
        _unpack(file, plain, limits.size)
        plain.seek(0)
        yield cast(BinaryIO, plain)


def _unpack(file: BinaryIO, plain: IO[bytes], limit: int) -> None:
    try:
        with igzip.IGzipFile(fileobj=file) as source:  # type: ignore[no-untyped-call]
            while chunk := source.read(MIB):
                if plain.tell() + len(chunk) > limit:
                    raise TooLarge(
                        f"The file has more than {limit:,} bytes when it is unpacked; split it."
                    )
                plain.write(chunk)
    except _BROKEN as error:
        raise BadRequest(f"The gzip file is broken or was cut off: {error}.") from None


def _ending(name: str) -> str:
    path = PurePath(name.replace("\\", "/"))
    if path.suffix.lower() == ".gz":
        path = path.with_suffix("")
    return path.suffix.lower().lstrip(".")


def _list_known(readable: list[Format]) -> str:
    endings = [
        f".{format.extension} ({format.media_type.partition(';')[0]})" for format in readable
    ]
    return "right would be " + ", ".join(endings)
