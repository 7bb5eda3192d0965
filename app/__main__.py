"""The command line: `docsheet`, or `python -m app`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from app.errors import DocsheetError
from app.settings import read_settings

cli = typer.Typer(
    help="MongoDB documents as a REST API, and as spreadsheets.", no_args_is_help=True, pretty_exceptions_enable=False
)
out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


@cli.callback()
def _settings() -> None:
    """Settings come from the environment and from .env; docs/operations.md explains each one."""


@cli.command()
def serve() -> None:
    """Serve the API until Ctrl-C."""
    from app.server import serve as run_server

    with told():
        run_server(read_settings(), out)


@cli.command()
def seed(
    resource: Annotated[str, typer.Argument(help="The collection to fill, such as users.")],
    count: Annotated[int, typer.Option(min=1, max=100_000_000, help="How many documents.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same number makes the same documents.")] = 1,
) -> None:
    """Fill a collection with believable documents, made by its Resource.sample."""
    from app.seeding import seed as run_seed

    with told():
        run_seed(read_settings(), resource, count, seed, out)


@contextmanager
def told() -> Iterator[None]:
    """An error that was foreseen is one sentence, and exit status 1."""
    try:
        yield
    except DocsheetError as error:
        err.print(f"docsheet: {error}", style="red", highlight=False, markup=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def main() -> None:
    """The entry point of `docsheet`."""
    cli()


if __name__ == "__main__":
    main()
