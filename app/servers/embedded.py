"""The embedded database: a real mongod for those without MongoDB, as a replica set of one.

It listens on a unix socket only, in the data folder, or in a short folder of the runtime where that
path would be longer than a socket's may be. One process owns it: the one that has the lock of the
data folder. A command beside a running server uses that server's database; what the owner wrote
into the lock file tells where it is.
"""

import fcntl
import hashlib
import json
import logging
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from app.errors import StartError
from app.servers.endings import explain_full, explain_not_writable, is_full
from app.servers.founding import (
    SET,
    is_primary,
    make_initiation,
    make_members,
    make_uri,
    wait_until,
)
from app.servers.process import DATA, POLL_SECONDS, START_SECONDS, Mongod, find_mongod
from app.servers.wire import ask, hello
from app.settings import Settings

OPLOG_MIB = 1024  # mongod's own choice is 5 % of the free disk
SOCKET_BYTES = 107  # sun_path, less the NUL
# In a socket's path: the list of addresses and `host:port` are cut there.
UNSAFE = frozenset(",:[]%")
LEFTOVER_SECONDS = 15.0  # for the mongod of a killed server to end
STOP_SECONDS = 10.0
ORDERLY_PAUSE_SECONDS = 2.0  # before a mongod that ended in order is started again
MAX_PAUSE_SECONDS = 60.0  # between two starts of a mongod that ends again and again

log = logging.getLogger(__name__)


class EmbeddedDatabase:
    """An embedded database that is ready for writes: `uri` says where it is.

    `is_new` says that its folder had no data before.
    """

    def __init__(
        self,
        uri: str,
        owner: "_Lock | None",
        user: "_Lock | None",
        mongod: Mongod | None,
        *,
        is_new: bool = False,
    ) -> None:
        self.uri = uri
        self.is_new = is_new
        self._owner = owner
        self._user = user
        self._mongod = mongod
        self._keeper = _Keeper(mongod) if mongod is not None else None

    @classmethod
    def of(cls, settings: Settings, *, share: bool = False) -> Self:
        """The embedded database that the settings describe, opened."""
        return cls.open(
            settings.DATA_DIR,
            settings.EMBEDDED_CACHE_MIB,
            settings.EMBEDDED_SNAPSHOT_SECONDS,
            share=share,
        )

    @classmethod
    def open(
        cls, data_dir: Path, cache_mib: int, snapshot_seconds: int, *, share: bool = False
    ) -> Self:
        """Start the database of a data folder, and wait until it can be written to.

        Blocks for some 0.3 s. With `share` (commands), the one that runs already is used where
        there is one. Without (servers), that is a `StartError`, as is everything that prevents the
        start: its sentence says what to do.
        """
        folder = data_dir.expanduser().resolve()
        owner, user = _Lock.of_folder(folder, "owner.lock"), _Lock.of_folder(folder, "users.lock")
        deadline = time.monotonic() + START_SECONDS
        while not owner.take():
            if not share:
                raise StartError(_describe_use(folder, owner))
            if user.take(shared=True):
                if (uri := owner.read().get("uri")) and hello(
                    owner.read().get("socket", "")
                ) is not None:
                    return cls(str(uri), None, user, None)
                user.release()
            if time.monotonic() > deadline:
                raise StartError(
                    f"The database of {folder} is being started by another process, and isn't "
                    "ready yet."
                )
            time.sleep(POLL_SECONDS)
        return cls._start(
            folder, cache_mib, snapshot_seconds, owner, user, "command" if share else "server"
        )

    @classmethod
    def _start(
        cls,
        folder: Path,
        cache_mib: int,
        snapshot_seconds: int,
        owner: "_Lock",
        user: "_Lock",
        kind: str,
    ) -> Self:
        owner.write({"owner": kind, "pid": os.getpid()})
        socket = str(_socket_folder(folder) / "mongodb.sock")
        mongod = Mongod(folder, socket, *_arguments(cache_mib, snapshot_seconds))
        _wait_for_leftover(mongod)
        is_new = not (folder / DATA / "WiredTiger").exists()
        try:
            mongod.start(find_mongod())
            _become_primary(socket)
        except BaseException:
            mongod.stop(STOP_SECONDS)
            owner.release()
            raise
        uri = make_uri([socket], direct=True)
        owner.write({"owner": kind, "pid": os.getpid(), "socket": socket, "uri": uri})
        return cls(uri, owner, user, mongod, is_new=is_new)

    def close(self) -> None:
        """End the mongod that this process started.

        A command's waits until other commands have done with it.
        """
        if self._mongod is not None and self._owner is not None:
            if self._owner.read().get("owner") == "command" and self._user is not None:
                self._user.wait()
            if self._keeper is not None:
                self._keeper.leave()
            self._mongod.stop(STOP_SECONDS)
            self._owner.write({})
            self._owner.release()
        if self._user is not None:
            self._user.release()
        self._mongod = self._owner = self._user = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Keeper:
    """Starts a mongod again where it ends by itself: killed, or because memory ran out.

    It has the same address then, so that whoever waits for a primary finds it.
    """

    def __init__(self, mongod: Mongod) -> None:
        self._mongod = mongod
        self._launching = threading.Lock()
        self._left = threading.Event()
        threading.Thread(target=self._keep, name="embedded database", daemon=True).start()

    def leave(self) -> None:
        """From now on the mongod may end."""
        with self._launching:
            self._left.set()

    def _keep(self) -> None:
        pause = 0.0  # seconds
        while True:
            status = self._mongod.wait_for_end()
            # In order: most often everything on the machine is told to end, and so are we.
            if self._left.wait(pause or (ORDERLY_PAUSE_SECONDS if status == 0 else 0)):
                return
            log.error("The embedded database ended (%s); starting it again.", _describe_end(status))
            if is_full(status, self._mongod.folder):
                log.error("%s", explain_full(self._mongod.folder))
            try:
                self._start()
            except StartError as error:
                if not self._left.is_set():
                    log.error("The embedded database can't be started again: %s", error)
                pause = min(max(1.0, 2 * pause), MAX_PAUSE_SECONDS)
            else:
                pause = 0.0

    def _start(self) -> None:
        with self._launching:
            if self._left.is_set():
                return
            self._mongod.launch(find_mongod())
        self._mongod.wait()
        _become_primary(self._mongod.address)
        log.warning("The embedded database takes writes again.")


def _describe_end(status: int) -> str:
    if status < 0:
        return f"by {signal.Signals(-status).name}"
    return f"with exit status {status}"


class _Lock:
    """An `flock` on a file of ours, which ends with the process however it ends.

    The file holds a little JSON.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def of_folder(cls, folder: Path, name: str) -> Self:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return cls(os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StartError(explain_not_writable(folder, error.strerror)) from error

    def __del__(self) -> None:
        with suppress(OSError):
            os.close(self._descriptor)

    def take(self, *, shared: bool = False) -> bool:
        try:
            fcntl.flock(
                self._descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
            )
        except BlockingIOError:
            return False
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise StartError(
                f"The data folder's disk has no locks ({why}): set DATA_DIR to another folder."
            ) from error
        return True

    def wait(self) -> None:
        if not self.take():
            log.info("Another command still uses this database; waiting until it has done.")
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def release(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def write(self, content: dict[str, Any]) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(content).encode(), 0)

    def read(self) -> dict[str, Any]:
        try:
            content = json.loads(os.pread(self._descriptor, 4096, 0))
        except ValueError:  # empty, or being written
            return {}
        return content if isinstance(content, dict) else {}


def _describe_use(folder: Path, owner: _Lock) -> str:
    content = owner.read()
    process = f" (process {content['pid']})" if "pid" in content else ""
    if content.get("owner") == "command":
        return (
            f"A command{process} is working with the data folder {folder}: start again when it "
            "has finished."
        )
    return (
        f"Another server{process} uses the data folder {folder}: stop it, or give this one a "
        "folder of its own with DATA_DIR."
    )


def _socket_folder(folder: Path) -> Path:
    """Where the sockets are: in the data folder, or the runtime's if that can't be used."""
    longest = folder / "mongodb-27017.sock"  # mongod makes this one too
    if len(os.fsencode(longest)) <= SOCKET_BYTES and not UNSAFE.intersection(str(folder)):
        return folder
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp")
    short = (
        runtime if os.access(runtime, os.W_OK) and len(str(runtime)) < 40 else Path("/tmp")
    ) / f"docsheet-{name}"
    try:
        short.mkdir(mode=0o700, exist_ok=True)
        ours = short.lstat().st_uid == os.getuid() and not short.is_symlink()
    except OSError:
        ours = False
    if not ours:
        raise StartError(
            f"The folder {short}, for the database's socket, isn't ours: set DATA_DIR to a "
            "shorter path."
        )
    short.chmod(0o700)
    return short


def _arguments(cache_mib: int, snapshot_seconds: int) -> list[str]:
    parameters = {
        "minSnapshotHistoryWindowInSeconds": snapshot_seconds,
        "diagnosticDataCollectionEnabled": "false",
        # There is no other node that could take over.
        "shutdownTimeoutMillisForSignaledShutdown": 100,
    }
    return [
        *("--replSet", SET),
        *("--wiredTigerCacheSizeGB", f"{cache_mib / 1024:.4f}"),
        *("--oplogSize", str(OPLOG_MIB)),
        *("--networkMessageCompressors", "disabled"),
        "--quiet",
        *(
            word
            for name, value in parameters.items()
            for word in ("--setParameter", f"{name}={value}")
        ),
    ]


def _wait_for_leftover(mongod: Mongod) -> None:
    """Wait for the mongod of a server that was killed: it was told to end, and takes a moment."""
    deadline = time.monotonic() + LEFTOVER_SECONDS
    while (pid := mongod.pid) is not None:
        if time.monotonic() > deadline:
            raise StartError(
                f"A mongod (process {pid}) still uses the data folder {mongod.folder}: end it with "
                f"`kill {pid}`, or set DATA_DIR to another folder."
            )
        time.sleep(POLL_SECONDS)


def _become_primary(socket: str) -> None:
    """Make the set, or tell it its new address when the folder was moved.

    Back when writes are taken.
    """
    config = _config(socket)
    if config is None:
        _must(ask(socket, make_initiation([socket]), START_SECONDS))
    elif [member["host"] for member in config["members"]] != [socket]:
        moved = {**config, "version": config["version"] + 1, "members": make_members([socket])}
        _must(ask(socket, {"replSetReconfig": moved, "force": True}, START_SECONDS))
    otherwise = f"The embedded database did not become writable within {START_SECONDS:.0f} s."
    wait_until(lambda: is_primary(socket), otherwise, START_SECONDS)


def _config(socket: str) -> dict[str, Any] | None:
    answer = _must(
        ask(
            socket,
            {"find": "system.replset", "$db": "local", "$readPreference": {"mode": "nearest"}},
            START_SECONDS,
        )
    )
    batch = answer["cursor"]["firstBatch"]
    return dict(batch[0]) if batch else None


def _must(answer: dict[str, Any]) -> dict[str, Any]:
    if not answer.get("ok"):
        why = answer.get("errmsg")
        raise StartError(
            f"The embedded database can't be set up ({why}): set DATA_DIR to another folder."
        )
    return answer
