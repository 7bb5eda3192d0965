"""The command line: `docsheet`, or `python -m app`."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.errors import DocsheetError
from app.settings import read_settings

cli = typer.Typer(
    help="MongoDB documents as a REST API, and as spreadsheets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


@cli.callback()
def _settings() -> None:
    """Settings come from the environment and from .env; docs/operations.md explains each one."""


@cli.command()
def serve() -> None:
    """Serve the API until Ctrl-C."""
    from app.serving.server import serve as run_server

    with told():
        run_server(read_settings(), out)


@cli.command()
def seed(
    resource: Annotated[str, typer.Argument(help="The collection to fill, such as users.")],
    count: Annotated[int, typer.Option(min=1, max=100_000_000, help="How many documents.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same number makes the same documents.")] = 1,
) -> None:
    """Fill a collection with believable documents, made by its Resource.sample."""
    from app.commands.seed import seed as run_seed

    with told():
        run_seed(read_settings(), resource, count, seed, out)


@cli.command()
def doctor() -> None:
    """Ask the database of MONGO_URI step by step what hinders; exit status 0 where all is well, else 1."""
    from app.commands.doctor import examine

    with told():
        if not examine(read_settings(), out):
            raise typer.Exit(1)


@cli.command()
def export(
    resource: Annotated[str, typer.Argument(help="The collection, such as users.")],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", help="The file; - is standard output. [default: users.csv, …]"
        ),
    ] = "",
    format_: Annotated[
        str,
        typer.Option(
            "--format", "-f", help="csv, xlsx, ndjson or json. [default: as the file's name ends]"
        ),
    ] = "",
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="A condition, as the list has it: 'profile.age__gte=18'; repeat for more."
        ),
    ] = None,
    keyword: Annotated[
        str, typer.Option(help="A regular expression over the fields of the search.")
    ] = "",
    sort: Annotated[str, typer.Option(help="Such as '-profile.age,name'.")] = "",
    skip: Annotated[str, typer.Option(help="How many documents to leave out.")] = "",
    limit: Annotated[str, typer.Option(help="How many documents at most.")] = "",
    columns: Annotated[str, typer.Option(help="Such as '_id,*' or 'name,profile.age:Age'.")] = "",
    unwind: Annotated[str, typer.Option(help="A list whose elements become rows.")] = "",
    bom: Annotated[str, typer.Option(help="true: a byte-order mark first, for Excel (CSV).")] = "",
    delimiter: Annotated[str, typer.Option(help="One of , ; | tab (CSV).")] = "",
    formulas: Annotated[str, typer.Option(help="escape or keep (CSV).")] = "",
    timezone: Annotated[str, typer.Option(help="Such as Asia/Shanghai (CSV, XLSX).")] = "",
    consistency: Annotated[str, typer.Option(help="snapshot or none.")] = "",
) -> None:
    """Write a collection to a file, as GET /users/export/{format} does."""
    from app.commands.export import export as run_export
    from app.commands.export import where as read_where

    words = {
        "keyword": keyword, "sort": sort, "skip": skip, "limit": limit, "columns": columns, "unwind": unwind,
        "bom": bom, "delimiter": delimiter, "formulas": formulas, "timezone": timezone, "consistency": consistency,
    }  # fmt: skip
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # the unfinished file goes, as at Ctrl-C
    with told():
        pairs = [*read_where(where or ()), *words.items()]
        run_export(read_settings(), resource, format_, pairs, output, err)


@cli.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The file that was downloaded.")],
    export_id: Annotated[
        str, typer.Argument(metavar="ID", help="The X-Export-Id of the download.")
    ],
) -> None:
    """Compare a downloaded file with what the server recorded of it; exit status 1 if they differ."""
    from app.commands.export import verify as run_verify

    with told():
        if not run_verify(read_settings(), file, export_id, err):
            raise typer.Exit(1)


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
