"""`docsheet serve`: serves the API until Ctrl-C."""

from typing import Annotated

import typer

from app.commands.terminal import out
from app.serving.server import serve
from app.settings import read_settings


def run(
    host: Annotated[str, typer.Option(help="The address to listen on, in place of HOST.")] = "",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="The port, in place of PORT; 0: a free one."),
    ] = None,
) -> None:
    """Serve the API until Ctrl-C."""
    chosen = {"HOST": host or None, "PORT": port}
    serve(
        read_settings(**{name: value for name, value in chosen.items() if value is not None}), out
    )
