"""An import as the work of a child: a connection of its own, the models of the server."""

import os
from dataclasses import dataclass
from functools import cache
from typing import Any, BinaryIO, ClassVar, cast

from app.query.compile import Compilers
from app.resources.registry import Resource, discover
from app.resources.views import Grants, Views
from app.settings import Settings
from app.store.client import direct_connection
from app.store.indexes import Indexes
from app.store.reach import Reach
from app.transfers.child import Output
from app.transfers.import_options import Import
from app.transfers.imports import Ended, run_import
from app.transfers.report import Report


@dataclass(frozen=True)
class ImportWork:
    """An import with what its child needs: the database, and the descriptors of two files.

    `grants` are what its caller may do; `file` is what came, `sheet` takes the sheet to correct.
    """

    asked: Import
    grants: Grants
    settings: Settings
    uri: str
    indexes: Indexes
    file: Any
    sheet: Any
    name: ClassVar[str] = "import"

    def run(self, output: Output) -> Ended:
        """Checks and writes the rows."""
        resources = read_resources(self.settings.MODELS)
        compilers = Compilers(Views(resources.values(), self.grants))
        with (
            _open(self.file) as file,
            _open(self.sheet) as sheet,
            direct_connection(self.settings, self.uri) as connection,
        ):
            connection.sync.command("ping")  # so that the servers are known
            return run_import(
                self.asked,
                Reach(connection, compilers, resources[self.asked.resource].name),
                connection,
                self.indexes,
                file,
                sheet,
                output.tell,
                output.turns,
            )

    def so_far(self, checked: int, due: int, written: int) -> Ended:
        """How far it is."""
        return Ended(Report(rows=checked), due=due, written=written)


def _open(descriptor: int) -> BinaryIO:
    return cast(BinaryIO, os.fdopen(descriptor, "r+b"))


@cache
def read_resources(models: str) -> dict[str, Resource]:
    """The resources that a package of models declares, by address; once in a process."""
    return discover(models)
