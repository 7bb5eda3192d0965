"""What commands stand on: the resource that was named, and the database."""

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import PyMongoError

from app.commands.terminal import err
from app.errors import DocsheetError, StartError
from app.query.compile import Compiler
from app.resources.registry import Resource, discover
from app.resources.views import Views
from app.servers.embedded import EmbeddedDatabase
from app.settings import Settings
from app.spelling import suggest_nearest
from app.store.errors import translate


def find_resource(settings: Settings, name: str) -> Resource:
    """The resource of this name; raises `StartError` with the nearest that there is."""
    return find_compiler(settings, name).resource


def find_compiler(settings: Settings, name: str) -> Compiler:
    """What reads queries of the resource of this name, and of those to which it links."""
    resources = discover(settings.MODELS)
    if name not in resources:
        known = ", ".join(resources) or "none"
        near = suggest_nearest(name, resources)
        raise StartError(f"There is no collection {name!r}.{near} Declared are: {known}.")
    views = Views(resources.values())
    return Compiler(views[resources[name].name], views)


@contextmanager
def translate_errors(*, writing: bool) -> Iterator[None]:
    """What the driver raises meanwhile as ours, with its sentence."""
    try:
        yield
    except PyMongoError as error:
        ours = translate(error, writing=writing)
        raise ours if isinstance(ours, DocsheetError) else StartError(str(ours)) from error


@contextmanager
def open_database(settings: Settings) -> Iterator[str]:
    """The URI of the database for a command.

    MONGO_URI, else the embedded database: a running server's, else one that is started meanwhile.
    """
    if settings.MONGO_URI:
        yield settings.MONGO_URI
        return
    with EmbeddedDatabase.of(settings, share=True) as embedded:
        if embedded.is_new:
            folder = settings.DATA_DIR.expanduser().resolve()
            err.print(f"A new, empty database was made in {folder}.")
        yield embedded.uri
