"""Imports that go step by step: what is known of each, kept in the database with its file.

    Upload ─▶ `Kept` ─ `save` ─▶ reading, plan ─ `begin` … `tell` … `end` ─▶ `Run`

Every change is made under the condition that nobody else has made one: `version` is counted up by
each, so that what a reader sent twice, or of an older page, changes nothing.
"""

import datetime
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import IO, Any, Literal

from bson import ObjectId
from pydantic import TypeAdapter
from pymongo import IndexModel, ReturnDocument

from app.store.client import Database
from app.transfers.inspections import Found
from app.transfers.kept_files import TTL_INDEX, KeptFiles

COLLECTION = "docsheet.uploads"
REFRESH_SECONDS = 5.0  # between two signs of life of a run, at most
SILENT_SECONDS = 30.0  # without one, after which a run is under way no more
FILE, SHEET = "file", "sheet"  # what is kept of an upload
What = Literal["preview", "import"]
State = Literal["running", "ended", "interrupted"]


@dataclass(frozen=True)
class Reading:
    """How a file is to be read; what is empty is found by looking at it."""

    format: str
    encoding: str = ""
    delimiter: str = ""
    sheet: str = ""
    formulas: str = "escape"
    timezone: str = "UTC"


@dataclass(frozen=True)
class Plan:
    """What is to be done with the rows; `paths` has the field of each column, empty for none."""

    paths: tuple[str, ...] = ()
    mode: str = "insert"
    key: str = ""
    on_error: str = "abort"


@dataclass(frozen=True)
class Steps:
    """What the steps before an import have come to."""

    reading: Reading
    found: Found
    plan: Plan


@dataclass(frozen=True)
class Result:
    """How a run ended: its counts, or the error as which it is told.

    `status` is that of the answer over HTTP. `has_begun` says that it may have written something.
    """

    status: int = 200
    detail: str | None = None
    faults: tuple[str, ...] = ()
    rows: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    errors: tuple[dict[str, Any], ...] = ()
    changes: tuple[dict[str, Any], ...] = ()
    sheet_size: int = 0
    sheet_format: str = ""
    has_begun: bool = False

    @property
    def written(self) -> int:
        """How many documents were added or changed."""
        return self.inserted + self.updated


@dataclass(frozen=True)
class Run:
    """A preview or an import: how far it is, and in the end its result.

    `rows` are those of the file, 0 where nobody has counted them yet.
    """

    id: Any
    what: What
    state: State
    began: datetime.datetime
    at: datetime.datetime
    checked: int = 0
    due: int = 0
    written: int = 0
    rows: int = 0
    result: Result | None = None


@dataclass(frozen=True)
class Kept:
    """One upload: whose it is, its file, and how far its import is.

    `is_done` says that its rows were written, which is not to be done again.
    """

    token: str
    resource: str
    caller: str
    name: str
    size: int
    expires: datetime.datetime
    steps: Steps
    version: int = 0
    run: Run | None = None
    is_done: bool = False

    def path(self, part: str) -> str:
        """The name of one of its files."""
        return f"{self.token}/{part}"

    def run_of(self, what: What) -> Run | None:
        """Its last run, if that is one of these."""
        return self.run if self.run is not None and self.run.what == what else None


_LAST_INDEX = IndexModel([("caller", 1), ("resource", 1), ("expires", -1)], name="last")
_steps = TypeAdapter(Steps)
_result = TypeAdapter(Result)


class KeptImports:
    """The imports of a database that go step by step; `seconds` is how long one is kept."""

    def __init__(self, database: Database, seconds: int) -> None:
        self._database = database
        self._seconds = seconds
        self.files = KeptFiles(database)
        self._collection = database.collection(COLLECTION)

    async def prepare(self) -> None:
        """Makes the indexes by which uploads are forgotten."""
        await self._database.run(self._collection.create_indexes, [TTL_INDEX, _LAST_INDEX])
        await self.files.prepare()

    async def add(
        self, resource: str, caller: str, name: str, file: IO[bytes], steps: Steps
    ) -> Kept:
        """Keeps a file that came; it can be found once all of it is kept."""
        token = secrets.token_urlsafe(18)
        expires = _now() + datetime.timedelta(seconds=self._seconds)
        kept = Kept(token, resource, caller, name, 0, expires, steps)
        try:
            size = await self.files.write(kept.path(FILE), file, expires)
            kept = replace(kept, size=size)
            document = {
                "_id": token,
                "resource": resource,
                "caller": caller,
                "name": name,
                "size": size,
                "expires": expires,
                "steps": _steps.dump_json(steps).decode(),
                "version": 0,
            }
            await self._database.run(self._collection.insert_one, document, writing=True)
        except BaseException:
            await self.files.delete(token)
            raise
        return kept

    async def find(self, token: str, resource: str, caller: str) -> Kept | None:
        """The upload, None where this caller has none such (any more)."""
        key = {"_id": token, "resource": resource, "caller": caller}
        found: Any = await self._database.run(self._collection.find_one, key)
        if found is None or _utc(found["expires"]) <= _now():
            return None
        return _read(found)

    async def find_last(self, resource: str, caller: str) -> Kept | None:
        """The newest upload of a caller into a resource, None where there is none such."""
        key = {"resource": resource, "caller": caller}
        find, newest = self._collection.find_one, [("expires", -1)]
        found: Any = await self._database.run(find, key, sort=newest)
        return _read(found) if found is not None else None

    async def forget(self, kept: Kept) -> None:
        """Forgets an upload and its files."""
        await self._database.run(self._collection.delete_one, {"_id": kept.token}, writing=True)
        await self.files.delete(kept.token)

    async def save(self, kept: Kept, steps: Steps) -> Kept | None:
        """Keeps what steps have come to, and forgets the run before.

        None where something else was done meanwhile.
        """
        change = {
            "$set": {"steps": _steps.dump_json(steps).decode()},
            "$unset": {"run": ""},
            "$inc": {"version": 1},
        }
        return await self._change(kept, change)

    async def begin(self, kept: Kept, what: What) -> Kept | None:
        """Begins a run; None where something else was done meanwhile, or a run is under way."""
        now = _now()
        before = kept.run.result if kept.run is not None else None
        rows = before.rows if before is not None else 0
        run: dict[str, Any] = {"id": ObjectId(), "what": what, "state": "running", "rows": rows}
        run |= {"began": now, "at": now}
        return await self._change(kept, {"$set": {"run": run}, "$inc": {"version": 1}})

    async def _change(self, kept: Kept, change: Mapping[str, Any]) -> Kept | None:
        lately = _now() - datetime.timedelta(seconds=SILENT_SECONDS)
        condition = {
            "_id": kept.token,
            "version": kept.version,
            "done": {"$ne": True},
            "$or": [{"run.state": {"$ne": "running"}}, {"run.at": {"$lt": lately}}],
        }
        after: Any = await self._database.run(
            self._collection.find_one_and_update,
            condition,
            change,
            return_document=ReturnDocument.AFTER,
            writing=True,
        )
        return _read(after) if after is not None else None

    async def tell(self, kept: Kept, checked: int, due: int, written: int) -> None:
        """Keeps how far the run of an upload is."""
        numbers = {"run.checked": checked, "run.due": due, "run.written": written}
        await self._set(kept, {**numbers, "run.at": _now()})

    async def end(self, kept: Kept, result: Result, *, is_done: bool) -> None:
        """Keeps how the run of an upload ended."""
        words = {"run.state": "ended", "run.at": _now(), "done": is_done}
        await self._set(kept, {**words, "run.result": _result.dump_json(result).decode()})

    async def interrupt(self, kept: Kept) -> None:
        """Keeps that the run of an upload was broken off."""
        await self._set(kept, {"run.state": "interrupted", "run.at": _now()})

    async def _set(self, kept: Kept, words: Mapping[str, Any]) -> None:
        assert kept.run is not None
        key = {"_id": kept.token, "run.id": kept.run.id, "run.state": "running"}
        change = {"$set": dict(words)}
        await self._database.run(self._collection.update_one, key, change, writing=True)


def _read(document: Mapping[str, Any]) -> Kept:
    return Kept(
        document["_id"],
        document["resource"],
        document["caller"],
        document["name"],
        document["size"],
        _utc(document["expires"]),
        _steps.validate_json(document["steps"]),
        document["version"],
        _read_run(document.get("run")),
        document.get("done", False),
    )


def _read_run(stored: Mapping[str, Any] | None) -> Run | None:
    if stored is None:
        return None
    at, state = _utc(stored["at"]), stored["state"]
    if state == "running" and (_now() - at).total_seconds() > SILENT_SECONDS:
        state = "interrupted"
    result = stored.get("result")
    return Run(
        stored["id"],
        stored["what"],
        state,
        _utc(stored["began"]),
        at,
        stored.get("checked", 0),
        stored.get("due", 0),
        stored.get("written", 0),
        stored.get("rows", 0),
        _result.validate_json(result) if result else None,
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _utc(at: datetime.datetime) -> datetime.datetime:
    """A stored moment, which a mock gives without its zone."""
    return at.replace(tzinfo=datetime.UTC) if at.tzinfo is None else at
