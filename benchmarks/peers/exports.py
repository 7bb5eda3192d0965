"""Exports as a careful programmer writes them: streamed CSV and NDJSON, three kinds of XLSX.

CSV and NDJSON: a Motor cursor of dicts in batches of 1,000, each batch encoded at once and sent as
a chunk. `json_util` writes MongoDB's relaxed Extended JSON, as mongoexport does; `orjson` writes
plain JSON with ids as text. The workbooks: a PyMongo cursor in a thread, a file on disk by the
library in its mode of constant memory, sent when it is whole, as these libraries can't do
otherwise.
"""

import csv
import io
import json
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from bson import json_util
from motor.motor_asyncio import AsyncIOMotorClient
from openpyxl import Workbook
from pymongo import MongoClient
from rustpy_xlsxwriter import FastExcel
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route
from xlsxwriter import Workbook as XlsxWriterBook

from benchmarks.peers import NAME, URI

BATCH = 1_000  # documents
TITLES = (
    "name",
    "email",
    "profile.bio",
    "profile.age",
    "profile.addresses.0.street",
    "profile.addresses.0.city",
    "profile.addresses.0.zipcode",
    "profile.addresses.0.country",
)
users = AsyncIOMotorClient(URI)[NAME]["users"]


def row(user: dict[str, Any]) -> list[Any]:
    """The eight cells of a user."""
    profile = user.get("profile") or {}
    home = (profile.get("addresses") or [{}])[0]
    return [
        user.get("name"),
        user.get("email"),
        profile.get("bio"),
        profile.get("age"),
        home.get("street"),
        home.get("city"),
        home.get("zipcode"),
        home.get("country"),
    ]


async def batches() -> AsyncIterator[list[dict[str, Any]]]:
    """Every user, in lists."""
    cursor = users.find({}, batch_size=BATCH)
    while batch := await cursor.to_list(BATCH):
        yield batch


async def csv_chunks() -> AsyncIterator[bytes]:
    """A header and rows."""
    output = io.StringIO()
    writer = csv.writer(output)
    writer.writerow(TITLES)
    async for batch in batches():
        writer.writerows(map(row, batch))
        yield output.getvalue().encode()
        output.seek(0)
        output.truncate()


async def json_util_chunks() -> AsyncIterator[bytes]:
    """A line of relaxed Extended JSON for each user."""
    options = json_util.RELAXED_JSON_OPTIONS
    async for batch in batches():
        lines = [
            json.dumps(
                json_util._json_convert(user, options), ensure_ascii=False, separators=(",", ":")
            )
            for user in batch
        ]
        yield ("\n".join(lines) + "\n").encode()


async def orjson_chunks() -> AsyncIterator[bytes]:
    """A line of JSON for each user."""
    async for batch in batches():
        yield b"".join(
            [orjson.dumps(user, default=str, option=orjson.OPT_APPEND_NEWLINE) for user in batch]
        )


async def export_csv(_: Request) -> Response:
    """Streamed CSV."""
    return StreamingResponse(csv_chunks(), media_type="text/csv")


async def export_json_util(_: Request) -> Response:
    """Streamed NDJSON, as mongoexport writes it."""
    return StreamingResponse(json_util_chunks(), media_type="application/x-ndjson")


async def export_orjson(_: Request) -> Response:
    """Streamed NDJSON by the fastest library."""
    return StreamingResponse(orjson_chunks(), media_type="application/x-ndjson")


@contextmanager
def documents() -> Iterator[Iterator[dict[str, Any]]]:
    """A synchronous cursor over every user."""
    with MongoClient[dict[str, Any]](URI) as client:
        yield client[NAME]["users"].find({}, batch_size=BATCH)


def write_openpyxl(path: str) -> None:
    """openpyxl, write-only."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet("users")
    sheet.append(TITLES)
    with documents() as found:
        for user in found:
            sheet.append(row(user))
    book.save(path)


def write_xlsxwriter(path: str) -> None:
    """XlsxWriter, in constant memory."""
    with (
        XlsxWriterBook(path, {"constant_memory": True, "strings_to_formulas": False}) as book,
        documents() as found,
    ):
        sheet = book.add_worksheet("users")
        sheet.write_row(0, 0, TITLES)
        for number, user in enumerate(found, 1):
            sheet.write_row(number, 0, row(user))


def write_rust(path: str) -> None:
    """rustpy-xlsxwriter, fed by a generator, which it writes in constant memory."""
    with documents() as found:
        FastExcel(path).sheet(
            "users", (dict(zip(TITLES, row(user), strict=True)) for user in found)
        ).save()


WRITERS = {"openpyxl": write_openpyxl, "xlsxwriter": write_xlsxwriter, "rust": write_rust}


async def export_workbook(request: Request) -> Response:
    """A workbook made by one of the libraries."""
    descriptor, path = tempfile.mkstemp(suffix=".xlsx")
    os.close(descriptor)
    await run_in_threadpool(WRITERS[request.path_params["library"]], path)
    return FileResponse(path, background=BackgroundTask(os.unlink, path))


app = Starlette(
    routes=[
        Route("/users/export/csv", export_csv),
        Route("/users/export/json_util", export_json_util),
        Route("/users/export/orjson", export_orjson),
        Route("/users/export/xlsx/{library}", export_workbook),
    ]
)
