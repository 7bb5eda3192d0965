"""A real mongod that can be told to fail, and one that is no replica set."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from app.servers.process import Mongod, find_mongod
from tests.support.mongod import require_mongod
from tests.support.ports import free_ports
from tests.support.waiting import wait_for

TEST_COMMANDS = ("--setParameter", "enableTestCommands=1")
CACHE = ("--wiredTigerCacheSizeGB", "0.25")


@contextmanager
def running_mongod(folder: Path, *arguments: str) -> Iterator[str]:
    """A mongod with these arguments on a free port; its URI."""
    require_mongod()
    (port,) = free_ports(1)
    mongod = Mongod(folder, f"127.0.0.1:{port}", *CACHE, *arguments)
    mongod.start(find_mongod())
    try:
        yield f"mongodb://127.0.0.1:{port}/?directConnection=true"
    finally:
        mongod.stop()


@contextmanager
def faulty_mongod(folder: Path) -> Iterator[str]:
    """A replica set of one that takes `failCommand`; its URI."""
    with running_mongod(folder, "--replSet", "rs0", *TEST_COMMANDS) as uri:
        with MongoClient[dict[str, Any]](uri) as client:
            initiate(client)
        yield uri


def initiate(client: Any) -> None:
    """Makes the only member of `rs0` a primary."""
    host, port = client.address
    config = {"_id": "rs0", "members": [{"_id": 0, "host": f"{host}:{port}"}]}
    client.admin.command("replSetInitiate", config)
    wait_for_primary(client)


def wait_for_primary(client: Any) -> None:
    """Waits until the server accepts writes."""
    wait_for(lambda: client.admin.command("hello")["isWritablePrimary"], otherwise="no primary")


@contextmanager
def failing(client: Any, commands: Sequence[str], code: int, times: int = 0) -> Iterator[None]:
    """The server answers these commands with this error, always or so many times.

    https://github.com/mongodb/mongo/wiki/The-%22failCommand%22-fail-point
    """
    data = {"failCommands": list(commands), "errorCode": code}
    mode: Any = {"times": times} if times else "alwaysOn"
    client.admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": data})
    try:
        yield
    finally:
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
