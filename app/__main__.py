"""The command line: `docsheet`, or `python -m app`.

A command is one file of `app/commands/`: its first line has its name and what it does, as
`docsheet seed` followed by a colon and the rest, and its function `run` has the words of its line.
One with several actions (`docsheet accounts add`) has them in a `typer.Typer` named `actions`.
Only the command that runs is imported, so that each starts as quickly as it can.
"""

import importlib
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from app import VERSION
from app.commands.terminal import err, out
from app.errors import DocsheetError, Unavailable
from app.resources.packages import find_packages_here

_FIRST_LINE = re.compile(r'"""`docsheet ([a-z-]+)`: (.+?)\W*$')
_FOLDER = Path(__file__).parent / "commands"


class Commands(TyperGroup):
    """The commands, each known by the first line of its file until it runs."""

    def __init__(self, **words: Any) -> None:
        super().__init__(**words)
        self._modules: dict[str, str] = {}
        for name, help_, module in _find_commands():
            self._modules[name] = module
            self.add_command(TyperCommand(name, help=help_))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of the first word, imported, and the words after it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, self._load(str(name)) if command else None, rest

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; an error that was foreseen is one sentence, and exit status 1."""
        with _report():
            return super().invoke(ctx)

    def _load(self, name: str) -> Any:
        module = importlib.import_module(self._modules[name])
        if hasattr(module, "actions"):
            return typer.main.get_command(module.actions)
        single = typer.Typer(add_completion=False)
        single.command(name)(module.run)
        return typer.main.get_command(single)


def _find_commands() -> Iterator[tuple[str, str, str]]:
    """Each command's name, what it does, and its module."""
    for path in sorted(_FOLDER.glob("*.py")):
        with path.open(encoding="utf-8") as file:
            if found := _FIRST_LINE.match(file.readline()):
                name, help_ = found.groups()
                yield name, help_[0].upper() + help_[1:] + ".", f"app.commands.{path.stem}"


@contextmanager
def _report() -> Iterator[None]:
    # Without a log, what the driver says of the database would stand beside the one line.
    logging.getLogger("docsheet.database").addHandler(logging.NullHandler())
    try:
        yield
    except DocsheetError as error:
        hint = " `docsheet doctor` says why." if isinstance(error, Unavailable) else ""
        err.print(f"docsheet: {error}{hint}", style="red")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(f"docsheet {VERSION}")
        raise typer.Exit


cli = typer.Typer(
    cls=Commands,
    help="MongoDB documents as a REST API, and as spreadsheets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@cli.callback()
def _settings(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Settings come from the environment and from .env; docs/operations.md explains each one."""


def _open_standard_files() -> None:
    """Where standard input, output or error is closed, `/dev/null` stands for it.

    Else the next file or connection that is opened would have its number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            file = Path(os.devnull).open(mode)  # noqa: SIM115  (for as long as the process lives)
            os.set_inheritable(file.fileno(), True)
            setattr(sys, name, file)


def main() -> None:
    """The entry point of `docsheet`."""
    _open_standard_files()
    find_packages_here()
    cli()


if __name__ == "__main__":
    main()
