"""`docsheet doctor`: asks the database step by step what is wrong, and says how to fix it.

A step that can't be asked before another is fixed is `skipped`. The first that fails has the one
line that fixes it. What is open to others is `open`, which is no failure: it may be meant.
"""

from collections.abc import Iterator

import typer
from pymongo.errors import OperationFailure, PyMongoError
from rich.console import Console

from app.commands.database import open_database
from app.commands.doctor_case import Case, Finding
from app.commands.doctor_steps import STEPS, Step, first_line
from app.commands.terminal import out
from app.settings import Settings, read_settings
from app.store.codes import Code

_STYLES = {
    "ok": "green",
    "fails": "red",
    "open": "yellow",
    "not permitted": "yellow",
    "skipped": "dim",
}


def run() -> None:
    """Ask the database of MONGO_URI step by step what is wrong.

    Exit status 0: all is well, else 1.
    """
    if not examine(read_settings(), out):
        raise typer.Exit(1)


def examine(settings: Settings, console: Console) -> bool:
    """Shows what each step found, then how to fix the first that fails; whether all is well.

    With no MONGO_URI the embedded database is asked: a running server's, else one started for this.
    """
    fix, close = "", ""
    with open_database(settings) as uri:
        for name, finding in findings(Case(settings, uri)):
            console.print(f"{finding.state:>13}", style=_STYLES[finding.state], end="")
            console.print(f"  {name:<16} ", end="")
            console.print(finding.detail)
            if finding.state == "fails":
                fix = fix or finding.fix
            elif finding.state == "open":
                close = close or finding.fix
    if fix:
        console.print(f"\nTo fix this: {fix}")
    elif close:
        console.print(f"\nTo close what is open: {close}")
    return not fix


def findings(case: Case) -> Iterator[tuple[str, Finding]]:
    """The steps in their order, each with what it found."""
    try:
        for name, step, can_be_asked in STEPS:
            if can_be_asked(case):
                yield name, _take(step, case)
            else:
                yield name, Finding("skipped", "a step before it fails")
    finally:
        if "client" in vars(case):
            case.client.close()


def _take(step: Step, case: Case) -> Finding:
    try:
        return step(case)
    except OperationFailure as error:
        if error.code != Code.Unauthorized:
            return Finding("fails", str(error), "see MongoDB's own message above.")
        return Finding("not permitted", "the user of MONGO_URI may not ask this")
    except PyMongoError as error:
        return Finding("fails", first_line(error), "see the driver's own message above.")
