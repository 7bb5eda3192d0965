"""The options that commands share: of the parameters of a request one line makes both."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated

import typer

from app.query.parameters import Choice, Flag, Parameter, Taker, parameters_of
from app.spreadsheets.formats import FORMATS

ResourceName = Annotated[str, typer.Argument(help="The collection, such as users.")]
FormatName = Annotated[
    str,
    typer.Option(
        "--format", "-f", help="csv, xlsx, ndjson or json. (default: as the file's name ends)"
    ),
]
Takers = Mapping[str, list[str]]  # of the parameters that belong to formats: which formats


def takers_of_exports() -> Takers:
    """The formats that take each parameter of exports that not all of them have."""
    return _takers((found.names[0], name) for found in FORMATS.values() for name in found.takes)


def takers_of_imports() -> Takers:
    """The same for imports."""
    return _takers((found.names[0], name) for found in FORMATS.values() for name in found.reads)


def _takers(pairs: Iterator[tuple[str, str]]) -> Takers:
    takers: dict[str, dict[str, None]] = {}
    for format, name in pairs:
        takers.setdefault(name, {})[format] = None
    return {name: list(formats) for name, formats in takers.items()}


def add_options(command: Callable[..., None], taker: Taker, takers: Takers) -> None:
    """Gives a command with `**parameters` an option for each parameter; typer reads signatures."""
    signature = inspect.signature(command)
    named = [
        one for one in signature.parameters.values() if one.kind != inspect.Parameter.VAR_KEYWORD
    ]
    options = [_option(one, takers) for one in parameters_of(taker, takers).values()]
    whole = signature.replace(parameters=[*named, *options])
    command.__signature__ = whole  # type: ignore[attr-defined]


def _option(parameter: Parameter, takers: Takers) -> inspect.Parameter:
    help_ = parameter.description.format(search="the fields that the model names for search")
    if parameter.of_format:
        help_ += f" ({', '.join(takers[parameter.name]).upper()})"
    if isinstance(parameter.type, Choice):
        help_ += f" One of: {' '.join(parameter.type.words)}"
    is_switch = isinstance(parameter.type, Flag)
    option = typer.Option(f"--{parameter.name.replace('_', '-')}", help=help_)
    return inspect.Parameter(
        parameter.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=False if is_switch else "",
        annotation=Annotated[bool if is_switch else str, option],
    )


def pairs_of(parameters: Mapping[str, str | bool]) -> Iterator[tuple[str, str]]:
    """The parameters as a query string has them; a switch that is off is absent."""
    for name, value in parameters.items():
        if isinstance(value, bool):
            value = "true" if value else ""
        yield name, value
