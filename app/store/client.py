"""The connection to MongoDB: the one file that imports Motor.

PyMongo's own synchronous collections (`delegate`) run in worker threads: one hop for a whole piece
of work, where Motor hops for each call of the driver.
"""

import asyncio
import datetime
import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar, cast

import pymongo
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import MongoClient, ReadPreference
from pymongo.collection import Collection
from pymongo.errors import ConfigurationError, InvalidURI, OperationFailure, PyMongoError
from pymongo.server_description import ServerDescription
from pymongo.server_type import SERVER_TYPE

from app.errors import SettingError, Unavailable
from app.query.conditions import Filter
from app.resources.codec import CODEC
from app.settings import Settings
from app.store.codes import Code
from app.store.documents import Documents
from app.store.errors import make_unavailable, translate, translate_errors
from app.store.linked import LinkedReader

T = TypeVar("T")
_log = logging.getLogger("docsheet.database")
_POLL_SECONDS = 0.05
_LOOK_SECONDS = 1.0
_LEAST_SECONDS = 0.5  # that a write has once there is a primary
_TURN_SECONDS = 2.0  # that a search waits for its turn
CLOSE_SECONDS = 2.0
_HEARTBEAT_MS = 2_000  # a server that hangs is known for it after this and connectTimeoutMS
HEARTBEATS = "docsheet.heartbeats"  # a collection with one document
SNAPSHOTS = 13  # the wire version of MongoDB 5.0, the first with snapshot reads


class Connection:
    """One database for synchronous work with the driver, wherever it runs: a child, a command.

    `sync` is PyMongo's database.
    """

    def __init__(self, sync: Any, settings: Settings) -> None:
        self.settings = settings
        # What MONGO_URI prefers is right for no write, nor for reads after it.
        self.sync: Any = sync.with_options(read_preference=ReadPreference.PRIMARY)

    def collection(self, name: str) -> Collection[dict[str, Any]]:
        """PyMongo's synchronous collection."""
        return cast("Collection[dict[str, Any]]", self.sync[name])

    def documents(self, name: str) -> Documents:
        """The collection's documents as bytes."""
        return Documents(self.collection(name), self.settings)

    def linked_reader(self, find_rule: Callable[[str], Filter]) -> LinkedReader:
        """What reads linked documents as they are now; `find_rule` as `LinkedReader` takes it."""
        limit, patience = self.time_limit["max_time_ms"], self.settings.PRIMARY_WAIT_SECONDS
        return LinkedReader(self.sync, find_rule, limit, patience)

    @property
    def time_limit(self) -> dict[str, int]:
        """The option of a find that bounds the database's work, as words for the driver."""
        return {"max_time_ms": int(self.settings.QUERY_TIME_LIMIT_SECONDS * 1000)}

    def has_transactions(self) -> bool:
        """Whether the server has transactions: a replica set or a sharded cluster."""
        return has_transactions(self.sync.client)

    def has_snapshots(self) -> bool:
        """Whether the server has snapshots: a replica set or sharded cluster, MongoDB 5.0+."""
        return has_snapshots(self.sync.client)

    def has_collations(self) -> bool:
        """Whether texts can be compared by a language's rules, such as without regard to case."""
        return True

    def has_bulks(self) -> bool:
        """Whether many writes can go in one command, each under a condition of its own."""
        return True


class Database(Connection):
    """One database of one MongoDB, for one server process; opened in the lifespan and handed down.

    `uri` is by what other processes reach it, empty where none can.
    """

    def __init__(self, client: Any, settings: Settings, uri: str = "") -> None:
        self.uri = uri
        self._client = client
        self._database = client[settings.DB_NAME]
        super().__init__(self._database.delegate, settings)
        self._with_primary: Any = None
        calls = settings.DATABASE_CALLS_AT_ONCE
        self._threads = ThreadPoolExecutor(calls, thread_name_prefix="database")
        # A thread of its own, for all others may be waiting for a database that takes no writes.
        self._heart = ThreadPoolExecutor(1, thread_name_prefix="heartbeat")
        self._beating: asyncio.Future[bool] | None = None
        self._looking: asyncio.Future[None] | None = None
        self._searches = asyncio.Semaphore(settings.SEARCHES_AT_ONCE)
        self._calls = 0  # under way, and such as wait

    def count_calls(self) -> int:
        """How many calls to the database are under way."""
        return min(self._calls, self.settings.DATABASE_CALLS_AT_ONCE)

    def count_waiting(self) -> int:
        """How many calls have no thread yet."""
        return self._calls - self.count_calls()

    @property
    def motor(self) -> Any:
        """Motor's database, for endpoints of a user's own; nothing of ours waits for it."""
        return self._database

    async def open(self) -> None:
        """Begins to watch the servers.

        Returns when one answered, after two seconds at the latest.
        """
        first = asyncio.get_running_loop().run_in_executor(self._threads, self._ping)
        await asyncio.wait([first], timeout=2)

    def _ping(self) -> None:
        try:
            self.sync.command("ping")
        except PyMongoError as error:
            _log.warning("the database can't be reached yet: %s", error)

    async def close(self) -> None:
        """Waits for the calls under way, then closes every connection.

        Not for long: without any server the driver would go on looking for one, to end its sessions
        there.
        """
        closing = threading.Thread(target=self._close, name="closing", daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, CLOSE_SECONDS)

    def _close(self) -> None:
        self._threads.shutdown()
        self._heart.shutdown()
        self._client.close()

    def has_primary(self) -> bool:
        """Whether a server that takes writes is known at this moment; asks nobody."""
        topology = self.sync.client.topology_description
        # There is a new one for every change that the driver has seen.
        if topology is not self._with_primary:
            self._with_primary = topology if topology.has_writable_server() else None
        return self._with_primary is not None

    def look_for_primary(self) -> None:
        """Lets the driver look for a server that takes writes at once.

        By itself it asks one that went away only with the next heartbeat.
        """
        if self._looking is None or self._looking.done():
            loop = asyncio.get_running_loop()
            self._looking = loop.run_in_executor(self._heart, self._look)

    def _look(self) -> None:
        # Whoever selects a server has all of them asked, twice a second.
        with suppress(PyMongoError), pymongo.timeout(_LOOK_SECONDS):
            self.sync.command("ping")

    async def beat(self, seconds: float) -> bool:
        """Writes a heartbeat, confirmed as every write is; False where the user may only read.

        Raises `Unavailable` where no write is taken, within `seconds`. Those who ask while one is
        under way share it.
        """
        if self._beating is None or self._beating.done():
            call = functools.partial(_run_in_time, self._beat, time.monotonic() + seconds)
            loop = asyncio.get_running_loop()
            self._beating = loop.run_in_executor(self._heart, call)
        with translate_errors(writing=False):
            return await asyncio.shield(self._beating)

    def _beat(self) -> bool:
        update = {"$set": {"at": datetime.datetime.now(datetime.UTC)}}
        try:
            self.sync[HEARTBEATS].update_one({"_id": "ready"}, update, upsert=True)
        except OperationFailure as error:
            if error.code == Code.Unauthorized:
                return False
            if error.code == Code.DuplicateKey:  # another server made it at the same moment
                return True
            raise
        return True

    async def run(
        self,
        work: Callable[..., T],
        *args: Any,
        writing: bool = False,
        patterns: tuple[str, ...] = (),
        **words: Any,
    ) -> T:
        """Runs synchronous work with the driver in a worker thread.

        The driver's errors become ours. While there is no primary it waits for one without holding
        a thread, PRIMARY_WAIT_SECONDS at most, then raises `Unavailable`. A write has that long in
        all, on the server too: a locked one would keep it for ever. Work with `patterns` (regular
        expressions) is bounded to SEARCHES_AT_ONCE.
        """
        deadline = time.monotonic() + self.settings.PRIMARY_WAIT_SECONDS
        self._calls += 1
        try:
            if not self.has_primary():
                await self._wait_for_primary(writing)
            call = functools.partial(work, *args, **words)
            if writing:
                call = functools.partial(_run_in_time, call, deadline)
            if patterns:
                return await self._search(call)
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except PyMongoError as error:
            raise translate(error, writing=writing, patterns=patterns) from error
        finally:
            self._calls -= 1

    async def _wait_for_primary(self, writing: bool) -> None:
        deadline = time.monotonic() + self.settings.PRIMARY_WAIT_SECONDS
        while not self.has_primary():
            if time.monotonic() > deadline:
                raise make_unavailable(self.sync.client.topology_description, writing=writing)
            self.look_for_primary()
            await asyncio.sleep(_POLL_SECONDS)

    async def _search(self, call: Callable[[], T]) -> T:
        try:
            await asyncio.wait_for(self._searches.acquire(), _TURN_SECONDS)
        except TimeoutError:
            raise Unavailable(
                "Too many searches are under way; try again soon, or search by a filter on an "
                "indexed field."
            ) from None
        running = asyncio.get_running_loop().run_in_executor(self._threads, call)
        # Its place is taken until the database is done with it, also when nobody waits for the
        # answer any more.
        running.add_done_callback(lambda _: self._searches.release())
        return await asyncio.shield(running)


def _run_in_time(work: Callable[[], T], deadline: float) -> T:
    """Runs work whose commands end by then, on the server too.

    https://www.mongodb.com/docs/languages/python/pymongo-driver/current/connect/connection-options/csot/
    """
    with pymongo.timeout(max(_LEAST_SECONDS, deadline - time.monotonic())):
        return work()


def connect(settings: Settings, uri: str) -> Any:
    """A Motor client for the URI; nothing is sent yet.

    Raises `SettingError` for a URI that can't be read.
    """
    try:
        return AsyncIOMotorClient(uri, **client_options(settings))
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise SettingError(f"MONGO_URI: {error}") from None


@contextmanager
def direct_connection(settings: Settings, uri: str) -> Iterator[Connection]:
    """A connection for synchronous work in a process of its own."""
    client: MongoClient[Any] = MongoClient(uri, **client_options(settings))
    with client:
        yield Connection(client[settings.DB_NAME], settings)


def client_options(settings: Settings) -> dict[str, Any]:
    """The driver's options for this program, for Motor and PyMongo alike.

    The codec is that of every read. An interval of heartbeats in MONGO_URI is kept.
    """
    wait = settings.PRIMARY_WAIT_SECONDS
    own = "heartbeatfrequencyms=" in settings.MONGO_URI.lower()
    return {
        **({} if own else {"heartbeatFrequencyMS": _HEARTBEAT_MS}),
        "appname": "docsheet",
        "tz_aware": True,
        "uuidRepresentation": "standard",
        "datetime_conversion": "DATETIME_AUTO",
        "unicode_decode_error_handler": CODEC.unicode_decode_error_handler,
        "serverSelectionTimeoutMS": int(wait * 1000),
        "connectTimeoutMS": 5_000,
        "socketTimeoutMS": int((settings.QUERY_TIME_LIMIT_SECONDS + wait) * 1000),
        "maxPoolSize": settings.DATABASE_CALLS_AT_ONCE + 4,
    }


def has_transactions(client: "MongoClient[Any]") -> bool:
    """Whether the servers have transactions, by what the client knows of them; asks nobody."""
    servers = client.topology_description.server_descriptions().values()
    return any(map(_is_of_set, servers))


def has_snapshots(client: "MongoClient[Any]") -> bool:
    """Whether the servers have snapshots, by what the client knows now; asks nobody."""
    servers = client.topology_description.server_descriptions().values()
    known = [server for server in servers if server.is_server_type_known]
    if not known:  # during an election, say
        return True  # better an export that fails than one without a snapshot
    able = list(filter(_is_of_set, known))
    return bool(able) and all(server.max_wire_version >= SNAPSHOTS for server in able)


def _is_of_set(server: ServerDescription) -> bool:
    """Whether a server belongs to a replica set, or stands before a sharded cluster."""
    return bool(server.replica_set_name) or server.server_type == SERVER_TYPE.Mongos
