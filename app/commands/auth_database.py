"""What the commands of accounts, roles, keys and shares stand on: the database, under the lock."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.cells import cell_len, set_cell_size

from app.auth.accounts import find_by_name
from app.auth.locks import hold_lock
from app.auth.resources import list_auth_resources
from app.commands.database import open_database, translate_errors
from app.commands.terminal import out
from app.errors import Conflict, Invalid, StartError
from app.resources.registry import Resource
from app.resources.storing import Document
from app.settings import Settings
from app.store.client import Connection, direct_connection
from app.store.indexes import Indexes, make_indexes

MAX_LISTED = 10_000  # documents that are listed


@contextmanager
def open_auth_database(settings: Settings) -> Iterator[Connection]:
    """The database, under the lock on changes of accounts and roles, with unique names.

    What refuses a change is a `StartError` with its sentence.
    """
    with open_database(settings) as uri, direct_connection(settings, uri) as connection:
        try:
            with translate_errors(writing=True):
                for resource in list_auth_resources():
                    make_indexes(resource, connection.collection(resource.name), Indexes())
                with hold_lock(connection):
                    yield connection
        except Conflict as error:
            raise StartError(error.detail) from None
        except Invalid as error:
            details = [fault.detail for fault in error.faults]
            raise StartError(" ".join(details) or error.detail) from None


def find_auth_resource(name: str) -> Resource:
    """The resource of our own with this collection."""
    return next(one for one in list_auth_resources() if one.name == name)


def find_account(connection: Connection, name: str) -> Document:
    """The account of this name; raises `StartError` where there is none."""
    found = find_by_name(connection, name)
    if found is None:
        raise StartError(f"There is no account {name!r}; docsheet accounts list shows them.")
    return found


def show_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Writes a table whose lines are as long as they are: nothing in it is cut."""
    lines = [titles, *rows]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (set_cell_size(text, width) for text, width in zip(line, widths, strict=True))
        say("  ".join(cells).rstrip())


def say(sentence: str) -> None:
    """Writes a sentence, or what was asked for, to standard output."""
    out.print(sentence)
