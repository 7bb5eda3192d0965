"""A client that writes a download to disk (curl), and what came: seconds, bytes, rows."""

import http.client
import json
import shutil
import subprocess
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

PART = 1 << 20  # bytes


@dataclass(frozen=True)
class Download:
    """What a download took: seconds to the first byte and to the last, and its size in bytes."""

    first: float
    seconds: float
    size: int


def download(address: str, path: Path, *, gzip: bool = False) -> Download:
    """Downloads to a file, compressed where `gzip` is set; exits when it broke or was refused."""
    if shutil.which("curl") is None:
        raise SystemExit("curl is missing: install the package curl.")
    form = '{"first": %{time_starttransfer}, "seconds": %{time_total}, "size": %{size_download}}'
    command = [
        "curl",
        "--silent",
        "--show-error",
        "--fail-with-body",
        "--output",
        str(path),
        "--write-out",
        form,
    ]
    command += ["--compressed"] if gzip else []
    done = subprocess.run([*command, address], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"The download of {address} broke (curl {done.returncode}): {done.stderr}")
    return Download(**json.loads(done.stdout))


def first_byte(address: str) -> float:
    """Seconds until the first byte of the body is there; the client leaves then."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    begin = time.perf_counter()
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        if answer.status != 200 or not answer.read(1):
            raise SystemExit(f"{address} was refused: {answer.status} {answer.read(500)!r}")
        return time.perf_counter() - begin
    finally:
        connection.close()


def rows(path: Path, kind: str) -> int:
    """The rows of a file without its header; none of our texts has a line break."""
    if kind == "xlsx":
        with zipfile.ZipFile(path) as book:
            sheets = [name for name in book.namelist() if name.startswith("xl/worksheets/sheet")]
            return sum(_count(book.open(name), b"</row>") - 1 for name in sheets)
    with path.open("rb") as file:
        return _count(file, b"\n") - (kind == "csv")


def _count(file: object, what: bytes) -> int:
    count, tail = 0, b""
    while part := file.read(PART):  # type: ignore[attr-defined]
        whole = tail + part
        count += whole.count(what)
        tail = whole[len(whole) - len(what) + 1 :] if len(what) > 1 else b""
    return count
