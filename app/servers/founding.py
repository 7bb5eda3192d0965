"""How a replica set is founded: its configuration, its key, its users, and the URI of each.

Written once for the embedded database, for `scripts/replica-set` and for the compose stack.
"""

import base64
import os
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from pymongo import MongoClient

from app.errors import StartError
from app.servers.process import POLL_SECONDS
from app.servers.wire import Document, hello

SET = "rs0"
LAZILY_SECONDS = 0.1  # between two looks at what takes long, as an election


def make_initiation(hosts: Sequence[str]) -> Document:
    """The command that makes a set of these members, to be sent once to one of them."""
    return {"replSetInitiate": {"_id": SET, "members": make_members(hosts)}}


def make_members(hosts: Sequence[str]) -> list[Document]:
    """The members as the set's configuration has them."""
    return [{"_id": number, "host": host} for number, host in enumerate(hosts)]


def make_uri(
    hosts: Sequence[str],
    user: str = "",
    password: str = "",
    database: str = "",
    *,
    direct: bool = False,
) -> str:
    """The `MONGO_URI` for these hosts, with everything odd in it percent-encoded.

    A socket's path is always asked directly: the driver would look for it in lower case.
    """
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
    places = ",".join(quote(host, safe="") if host.startswith("/") else host for host in hosts)
    options = "directConnection=true" if direct else f"replicaSet={SET}"
    if user:
        options += "&authSource=admin"
    return f"mongodb://{login}{places}/{database}?{options}"


def make_user(client: "MongoClient[Document]", name: str, password: str, database: str) -> None:
    """Makes the user that may read and write one database, or gives it that right and no more."""
    role = {"role": "readWrite", "db": database}
    users = client.admin.command("usersInfo", name)["users"]
    if not users:
        client.admin.command("createUser", name, pwd=password, roles=[role])
    elif role not in users[0]["roles"]:
        client.admin.command("grantRolesToUser", name, roles=[role])


def make_key() -> str:
    """A key by which the members of a set know each other."""
    return base64.b64encode(secrets.token_bytes(96)).decode()


def write_secret(path: Path, text: str, mode: int = 0o400, owner: int | None = None) -> None:
    """Writes a file that is closed to others, whole or not at all: somebody may wait for it."""
    fresh = path.with_name(f".{path.name}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    if owner is not None:
        os.chown(fresh, owner, owner)
    fresh.replace(path)


def is_primary(address: str) -> bool:
    """Whether the mongod there takes writes now."""
    return bool((hello(address) or {}).get("isWritablePrimary"))


def wait_until(condition: Callable[[], bool], otherwise: str, seconds: float) -> None:
    """Waits for a condition; raises `StartError` with that sentence after so many seconds."""
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        if waited > seconds:
            raise StartError(otherwise)
        time.sleep(max(POLL_SECONDS, min(waited / 20, LAZILY_SECONDS)))
