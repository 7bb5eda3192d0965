"""The files that commands write: whole, or not there under their names."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.errors import StartError

STDOUT = "-"


@contextmanager
def open_target(output: str) -> Iterator[IO[bytes]]:
    """The file to write to.

    It has its name, in place of what was there, only once the work is done.
    """
    if output == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    try:
        if is_stream(path):
            with path.open("wb") as file:
                yield file
            return
        path = path.resolve()  # a link stays, what it names is replaced
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False
        ) as part:
            try:
                yield part
                part.flush()
                os.fsync(part.fileno())
                Path(part.name).chmod(0o666 & ~_umask())
                Path(part.name).replace(path)
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise StartError(f"{output} can't be written: {error.strerror}.") from error


def is_stream(path: Path) -> bool:
    """A device or a pipe: nothing that a whole file could take the place of."""
    return path.exists() and not path.is_file()


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
