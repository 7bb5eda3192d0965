"""Three real mongods on loopback, as in production: a key file, accounts, a user for the API.

For `scripts/replica-set` and for the tests that kill nodes. Everything is in one folder;
`replica-set.json` there says what a later command needs to know, so that the set may outlive the
command that started it. A member is named by its address, `127.0.0.1:27101`, or by what it is now:
`PRIMARY`, `SECONDARY`.
"""

import argparse
import json
import secrets
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from app.errors import StartError
from app.servers.founding import (
    SET,
    is_primary,
    make_initiation,
    make_key,
    make_uri,
    make_user,
    wait_until,
    write_secret,
)
from app.servers.process import POLL_SECONDS, Mongod, find_mongod
from app.servers.wire import hello

MEMBERS = 3
CACHE_MIB = 256  # for each member
SNAPSHOT_SECONDS = 1800
OPLOG_MIB = 990  # the least that mongod takes
START_SECONDS = 60.0
STATE = "replica-set.json"
FOLDER = Path(__file__).parents[2] / "data" / "replica-set"  # unless the command line names another


@dataclass(frozen=True)
class Account:
    """A user of the set, and the database that it may read and write (root: all)."""

    name: str
    password: str
    database: str | None = None


class ReplicaSet:
    """A set in a folder: started here, or found there with `ReplicaSet.find(folder)`."""

    def __init__(
        self, folder: Path, ports: Sequence[int], accounts: Sequence[Account], *, outlives: bool
    ) -> None:
        self.folder = folder
        self.accounts = {account.name: account for account in accounts}
        self._ports = tuple(ports)
        arguments = _arguments(folder)
        self.members = {
            f"127.0.0.1:{port}": Mongod(
                folder / f"member{number}", f"127.0.0.1:{port}", *arguments, outlives=outlives
            )
            for number, port in enumerate(ports, 1)
        }

    @classmethod
    def start(
        cls, folder: Path, *, base_port: int = 0, database: str = "docsheet", outlives: bool = False
    ) -> Self:
        """Start the folder's set, making it first where there is none.

        Back when it has a primary and all members. `base_port` 0: free ports. Raises `StartError`
        that says what to do.
        """
        folder = folder.expanduser().resolve()
        if (folder / STATE).exists():
            found = cls.find(folder, outlives=outlives)
            found.start_members()
            found.wait_until_whole()
            return found
        ports = (
            [base_port + number for number in range(MEMBERS)]
            if base_port
            else _find_free_ports(MEMBERS)
        )
        accounts = [Account("root", _password()), Account("docsheet", _password(), database)]
        _make_folder(folder)
        made = cls(folder, ports, accounts, outlives=outlives)
        try:
            made.start_members()
            made._found()
            made.wait_until_whole()
        except BaseException:
            made.stop()
            raise
        made._write_state()
        return made

    @classmethod
    def find(cls, folder: Path, *, outlives: bool = False) -> Self:
        """The set that a folder holds, running or not; raises `StartError` where there is none."""
        folder = folder.expanduser().resolve()
        try:
            state = json.loads((folder / STATE).read_text())
        except FileNotFoundError:
            raise StartError(
                f"There is no replica set in {folder}: `scripts/replica-set start {folder}`."
            ) from None
        return cls(
            folder,
            state["ports"],
            [Account(**account) for account in state["accounts"]],
            outlives=outlives,
        )

    def uri(self, user: str = "docsheet") -> str:
        """The `MONGO_URI` for one of the accounts, with all members."""
        account = self.accounts[user]
        return make_uri(list(self.members), user, account.password, account.database or "")

    def status(self) -> dict[str, str]:
        """For each member: PRIMARY, SECONDARY, STARTING (answers, but is neither) or DOWN."""
        return {name: _state(name) for name in self.members}

    @property
    def primary(self) -> str | None:
        """The member that takes writes now."""
        return next((name for name, state in self.status().items() if state == "PRIMARY"), None)

    def kill(self, member: str = "PRIMARY", number: signal.Signals = signal.SIGKILL) -> str:
        """Send a member a signal, and wait for its end where the signal is one that ends.

        Its name comes back.
        """
        name = self._find_member(member)
        self.members[name].signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            _wait_for(lambda: not self.members[name].alive, f"{name} did not end")
        return name

    def restart(self, member: str) -> None:
        """Start a member that was stopped or killed; back when it is primary or secondary."""
        self.members[member].start()
        _wait_for(lambda: _state(member) in ("PRIMARY", "SECONDARY"), f"{member} did not come back")

    def step_down(self, seconds: int = 60) -> str:
        """Let the primary hand over, as before its maintenance.

        The name of the one that did comes back.
        """
        name = self._find_member("PRIMARY")
        with self._client(name) as client:
            client.admin.command("replSetStepDown", seconds)
        return name

    def wait_until_whole(self, seconds: float = START_SECONDS) -> None:
        """Wait until one member is primary and all others are secondaries."""
        whole = ["PRIMARY"] + ["SECONDARY"] * (MEMBERS - 1)
        _wait_for(lambda: sorted(self.status().values()) == whole, "The set is not whole", seconds)

    def start_members(self) -> None:
        """Start whichever member is down; back when all answer."""
        binary = find_mongod()
        down = [member for member in self.members.values() if not member.alive]
        for member in down:
            member.launch(binary)
        for member in down:
            member.wait()

    def stop(self) -> None:
        """End all members in order; their data stay."""
        for member in self.members.values():
            member.signal(signal.SIGTERM)
        for member in self.members.values():
            member.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _find_member(self, member: str) -> str:
        if member in self.members:
            return member
        for name, state in self.status().items():
            if state == member.upper():
                return name
        raise StartError(
            f"There is no member {member} in {self.folder}; its members: {', '.join(self.members)}."
        )

    @contextmanager
    def _client(self, member: str) -> "Iterator[MongoClient[dict[str, Any]]]":
        uri = make_uri([member], "root", self.accounts["root"].password, direct=True)
        with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=5000) as client:
            yield client

    def _found(self) -> None:
        """Begin with one member, primary at once; the others join. An election would take 11 s."""
        first, *others = self.members
        root = self.accounts["root"]
        with MongoClient[dict[str, Any]](make_uri([first], direct=True)) as client:
            client.admin.command(make_initiation([first]))
            _wait_for(lambda: is_primary(first), f"{first} did not become primary")
            client.admin.command("createUser", root.name, pwd=root.password, roles=["root"])
        with self._client(first) as client:
            for account in self.accounts.values():
                if account.database:
                    make_user(client, account.name, account.password, account.database)
            for number, name in enumerate(others, 1):
                _add_member(client, number, name)
            _wait_for(lambda: _all_vote(client), "Not all members vote")

    def _write_state(self) -> None:
        state = {
            "ports": self._ports,
            "accounts": [asdict(account) for account in self.accounts.values()],
        }
        write_secret(self.folder / STATE, json.dumps(state, indent=2), 0o600)


def _add_member(client: "MongoClient[dict[str, Any]]", number: int, name: str) -> None:
    """Add one member; MongoDB takes one at a time, and the next when the last one counts."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        config = client.admin.command("replSetGetConfig")["config"]
        config["version"] += 1
        config["members"].append({"_id": number, "host": name})
        try:
            client.admin.command("replSetReconfig", config)
        except (OperationFailure, AutoReconnect) as error:
            if time.monotonic() > deadline:
                raise StartError(f"{name} can't join the set: {error}") from error
            time.sleep(POLL_SECONDS)
        else:
            return


def _all_vote(client: "MongoClient[dict[str, Any]]") -> bool:
    """Whether each member counts in elections, and knows it.

    A member that joins has no vote until it has the data.
    """
    config = client.admin.command("replSetGetConfig", commitmentStatus=True)
    status = client.admin.command("replSetGetStatus")
    known = {
        (member.get("configVersion"), member.get("configTerm")) for member in status["members"]
    }
    return (
        bool(config["commitmentStatus"])
        and status["votingMembersCount"] == MEMBERS
        and len(known) == 1
    )


def _arguments(folder: Path) -> list[str]:
    return [
        *("--replSet", SET),
        *("--keyFile", str(folder / "key")),
        *("--wiredTigerCacheSizeGB", f"{CACHE_MIB / 1024:.4f}"),
        *("--oplogSize", str(OPLOG_MIB)),
        *("--setParameter", f"minSnapshotHistoryWindowInSeconds={SNAPSHOT_SECONDS}"),
        *(
            "--setParameter",
            "shutdownTimeoutMillisForSignaledShutdown=500",
        ),  # the default waits 15 s for clients to go
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        "--quiet",
    ]


def _make_folder(folder: Path) -> None:
    """An empty folder with the key in it.

    Raises `StartError` where it holds something else, or can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ours = {"key", *(f"member{number}" for number in range(1, MEMBERS + 1))}
        if any(child.name not in ours for child in folder.iterdir()):
            raise StartError(
                f"{folder} holds other files: name an empty folder for the replica set."
            )
        for number in range(1, MEMBERS + 1):  # of a start that was cut off
            shutil.rmtree(folder / f"member{number}", ignore_errors=True)
        write_secret(folder / "key", make_key())
    except OSError as error:
        raise StartError(
            f"The folder {folder} can't be written ({error.strerror}): name another."
        ) from error


def _password() -> str:
    return secrets.token_urlsafe(18) + "@:/%"  # what a URI must quote, so that it is quoted


def _find_free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    try:
        return [listener.getsockname()[1] for listener in sockets]
    finally:
        for listener in sockets:
            listener.close()


def _state(address: str) -> str:
    answer = hello(address)
    if answer is None:
        return "DOWN"
    if answer.get("isWritablePrimary"):
        return "PRIMARY"
    return "SECONDARY" if answer.get("secondary") else "STARTING"


def _wait_for(
    condition: Callable[[], bool], otherwise: str, seconds: float = START_SECONDS
) -> None:
    why = f"{otherwise} within {seconds:.0f} s; each member's mongod.log says why."
    wait_until(condition, why, seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of `scripts/replica-set`; the exit status comes back."""
    parser = argparse.ArgumentParser(
        prog="scripts/replica-set", description="Three real mongods as a replica set."
    )
    actions = parser.add_subparsers(dest="action", required=True)
    start = actions.add_parser("start", help="start it in the background, and print its MONGO_URI")
    start.add_argument(
        "--base-port", type=int, default=0, help="the first of three ports [free ones]"
    )
    start.add_argument(
        "--database", default="docsheet", help="the one that the application's user may use"
    )
    kill = actions.add_parser("kill", help="kill -9 a member")
    kill.add_argument(
        "member", nargs="?", default="PRIMARY", help="PRIMARY, SECONDARY or its address [PRIMARY]"
    )
    restart = actions.add_parser("restart", help="start the members that are down")
    step_down = actions.add_parser("step-down", help="let the primary hand over to another member")
    stop = actions.add_parser("stop", help="end all members; their data stay")
    status = actions.add_parser("status", help="which member is what, and the MONGO_URI")
    for action in (start, kill, restart, step_down, stop, status):
        action.add_argument(
            "folder",
            type=Path,
            nargs="?",
            default=FOLDER,
            help="where the set is [data/replica-set]",
        )
    options = parser.parse_args(arguments)
    try:
        sys.stdout.write(_act(options) + "\n")
    except (StartError, PyMongoError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _act(options: argparse.Namespace) -> str:
    if options.action == "start":
        made = ReplicaSet.start(
            options.folder, base_port=options.base_port, database=options.database, outlives=True
        )
        return f"MONGO_URI={made.uri()}"
    found = ReplicaSet.find(options.folder, outlives=True)
    match options.action:
        case "stop":
            found.stop()
            return f"Stopped; its data stay in {found.folder}."
        case "kill":
            return f"Killed {found.kill(options.member)}."
        case "restart":
            found.start_members()
            found.wait_until_whole()
            return "All members are there."
        case "step-down":
            return f"{found.step_down()} handed over."
        case _:
            lines = [f"{name}  {state}" for name, state in found.status().items()]
            return "\n".join([*lines, f"MONGO_URI={found.uri()}"])


if __name__ == "__main__":
    sys.exit(main())
