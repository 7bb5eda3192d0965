"""What the compose file runs once beside the nodes: passwords, the replica set, its users.

    python -m app.servers.stack secrets           into /secrets: `root`, `api`, `key`, `admin`
    python -m app.servers.stack init HOST:PORT …  the set, the API's user; writes /access/MONGO_URI;
                                                  with AUTH=on the first administrator
    python -m app.servers.stack run COMMAND …     `docsheet COMMAND …` on that MONGO_URI

Each may run again at any time: what is there stays as it is.
"""

import argparse
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from app.errors import StartError
from app.servers.founding import (
    SET,
    make_initiation,
    make_key,
    make_uri,
    make_user,
    write_secret,
)
from app.servers.wire import hello
from app.store.codes import Code

SECRETS = Path("/secrets")  # for the nodes and the init, never for the API
ACCESS = Path("/access")  # for the API
URI = "MONGO_URI"
API_USER = 10001  # the Dockerfile's
ROOT, USER = "root", "docsheet"
WAIT_SECONDS = 180.0  # for the nodes: a first start makes their files
POLL_SECONDS = 0.25
KEPT = {
    "root": "DOCSHEET_ROOT_PASSWORD",
    "api": "DOCSHEET_DB_PASSWORD",
    "key": "DOCSHEET_REPLICA_KEY",
    "admin": "DOCSHEET_ADMIN_PASSWORD",
}
ADMINISTRATOR = "admin"  # the account that is made where there is no administrator
ADMINISTRATORS = {"role": "admin", "disabled": {"$ne": True}}  # as app/auth stores them


def keep_secrets(folder: Path, environment: Mapping[str, str]) -> None:
    """Writes what isn't there yet: what the environment says, else something strong.

    Raises `StartError` where the environment names another root password or key than the set was
    made with. The API's password may change: `init` gives it to the database. The administrator's
    serves for the account that `init` makes; later `docsheet accounts password admin` changes it.
    """
    for name, variable in KEPT.items():
        chosen, kept = environment.get(variable, ""), _read(folder / name)
        if name == "key" and chosen and not re.fullmatch(r"[A-Za-z0-9+/=\s]{6,1024}", chosen):
            raise StartError(
                f"{variable}: a key has 6 to 1024 characters of base64 (`openssl rand -base64 96`)."
            )
        if not kept:
            made = make_key() if name == "key" else secrets.token_urlsafe(32)
            write_secret(folder / name, chosen or made)
        elif chosen and chosen != kept and name != "admin":  # whose password is the database's
            if name != "api":
                raise StartError(
                    f"{variable} is not the one that this stack's volumes were made with: set the "
                    "old one, or none (it is kept in the volume `secrets`). To begin anew WITHOUT "
                    "the data: `docker compose down -v`."
                )
            write_secret(folder / name, chosen)


def found_set(
    hosts: Sequence[str], root: str, password: str, database: str, wait: float = WAIT_SECONDS
) -> str:
    """Founds the set where there is none, and its application's user.

    The `MONGO_URI` of that user comes back. Waits for a primary that takes writes. Raises
    `StartError` that says what to do.
    """
    deadline = time.monotonic() + wait
    if not _is_founded(hosts, deadline):
        _initiate(hosts, root, deadline)
    uri = make_uri(hosts, ROOT, root)
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=int(wait * 1000)) as client:
        _again(lambda: client.admin.command("ping"), deadline)
        _again(lambda: make_user(client, USER, password, database), deadline)
        _again(lambda: _give_password(client, hosts, password), deadline)
    return make_uri(hosts, USER, password, database)


def _is_founded(hosts: Sequence[str], deadline: float) -> bool:
    """Whether any node belongs to a set.

    Only when all of them answer can it be said that none does.
    """
    while True:
        told = {host: hello(host) for host in hosts}
        if any("setName" in (answer or {}) for answer in told.values()):
            return True
        silent = [host for host, answer in told.items() if answer is None]
        if not silent:
            return False
        if time.monotonic() > deadline:
            raise StartError(
                f"{', '.join(silent)} can't be reached: `docker compose logs` of that node "
                "says why."
            )
        time.sleep(POLL_SECONDS)


def _initiate(hosts: Sequence[str], root: str, deadline: float) -> None:
    with MongoClient[dict[str, Any]](make_uri(hosts[:1], ROOT, root, direct=True)) as client:
        try:
            _again(lambda: client.admin.command("replSetGetStatus"), deadline)
        except OperationFailure as error:
            if error.code != Code.NotYetInitialized:
                raise
            try:
                client.admin.command(make_initiation(hosts))
            except OperationFailure as refused:
                if refused.code != Code.AlreadyInitialized:
                    raise


def _give_password(
    client: "MongoClient[dict[str, Any]]", hosts: Sequence[str], password: str
) -> None:
    """Makes this the API's password, where it is another one."""
    if not _lets_in(hosts, password):
        client.admin.command("updateUser", USER, pwd=password)


def _lets_in(hosts: Sequence[str], password: str) -> bool:
    with MongoClient[dict[str, Any]](make_uri(hosts, USER, password)) as client:
        try:
            client.admin.command("ping")
        except OperationFailure as error:
            if error.code != Code.AuthenticationFailed:
                raise
            return False
    return True


def _again(work: Callable[[], object], deadline: float) -> None:
    """Until it succeeds: an election may be under way.

    A refused login ends it with the sentence for that.
    """
    while True:
        try:
            work()
        except AutoReconnect as error:
            if time.monotonic() > deadline:
                raise StartError(f"The set has no primary: {error}") from error
            time.sleep(POLL_SECONDS)
        except OperationFailure as error:
            if error.code != Code.AuthenticationFailed:
                raise
            raise StartError(
                "The database does not know root by the password in the volume `secrets`: its data "
                "were made with another one, or its first start was cut off. Set "
                "DOCSHEET_ROOT_PASSWORD to the old one after `docker volume rm docsheet_secrets`; "
                "to begin anew WITHOUT the data: `docker compose down -v`."
            ) from error
        else:
            return


def make_administrator(uri: str, password: str, database: str) -> bool:
    """Makes the account `admin` where nobody could let others in; whether it was made.

    By the command line, as a person would. Raises `StartError` with what that says.
    """
    with MongoClient[dict[str, Any]](uri) as client:
        if client[database]["docsheet.accounts"].find_one(ADMINISTRATORS):
            return False
    done = subprocess.run(
        [sys.executable, "-m", "app", "accounts", "add", ADMINISTRATOR, "--role", "admin"],
        env={**os.environ, URI: uri, "DB_NAME": database},
        input=f"{password}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StartError(done.stderr.strip().removeprefix("docsheet: "))
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _run(words: Sequence[str], access: Path) -> None:
    """Becomes `docsheet …`, as soon as it is known where the database is."""
    if not os.environ.get(URI):
        while not (uri := _read(access / URI)):
            time.sleep(POLL_SECONDS)
        os.environ[URI] = uri
    os.execv(sys.executable, [sys.executable, "-m", "app", *words])


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit status comes back."""
    parser = argparse.ArgumentParser(
        prog="python -m app.servers.stack", description="The compose stack's one-shot services."
    )
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("secrets", help="make and keep the passwords and the key")
    actions.add_parser("init", help="found the set, make the API's user").add_argument(
        "hosts", nargs="+"
    )
    actions.add_parser("run", help="docsheet on the stack's database").add_argument(
        "words", nargs=argparse.REMAINDER
    )
    options = parser.parse_args(arguments)
    try:
        _act(options)
    except (StartError, PyMongoError) as error:
        sys.stderr.write(f"docsheet: {error}\n")
        return 1
    return 0


def _act(options: argparse.Namespace) -> None:
    if options.action == "secrets":
        SECRETS.chmod(0o700)
        keep_secrets(SECRETS, os.environ)
    elif options.action == "run":
        _run(options.words, ACCESS)
    else:
        _init(options.hosts, os.environ.get("DB_NAME") or "docsheet")


def _init(hosts: Sequence[str], database: str) -> None:
    uri = found_set(hosts, _read(SECRETS / "root"), _read(SECRETS / "api"), database)
    if _read(ACCESS / URI) != uri:
        write_secret(ACCESS / URI, uri, owner=API_USER)
    sys.stdout.write(f"The replica set {SET} takes writes; the API's user is {USER}.\n")
    if os.environ.get("AUTH") == "on" and make_administrator(
        uri, _read(SECRETS / "admin"), database
    ):
        sys.stdout.write(f"The account {ADMINISTRATOR!r} can sign in; /secrets/admin has it.\n")


if __name__ == "__main__":
    sys.exit(main())
