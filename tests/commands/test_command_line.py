"""`docsheet` itself: its commands are the files of `app/commands/`, imported when they run."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app import VERSION, __main__, commands
from tests.support.server import ROOT

COMMANDS = ["doctor", "export", "seed", "serve", "verify"]
runner = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"})


def run(*words: str) -> tuple[int, str]:
    done = runner.invoke(__main__.cli, words)
    return done.exit_code, done.output


def test_help_names_every_command_and_what_it_does() -> None:
    status, shown = run("--help")
    assert status == 0
    for name in COMMANDS:
        assert f" {name} " in shown
    assert "Fills a collection with believable documents, made by its Resource.sample." in shown


def test_help_imports_no_command() -> None:
    script = (
        "import sys; from app.__main__ import cli; cli(['--help'], standalone_mode=False);"
        "print([name for name in sys.modules if name.startswith(('app.commands.', 'beanie'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "['app.commands.terminal']"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_of_its_own(name: str) -> None:
    status, shown = run(name, "--help")
    assert status == 0
    assert f"Usage: root {name}" in shown


def test_version() -> None:
    assert run("--version") == (0, f"docsheet {VERSION}\n")


def test_unknown_command_names_the_nearest() -> None:
    status, shown = run("exprot")
    assert status == 2
    assert "No such command 'exprot'. Did you mean 'export'?" in shown


def test_a_new_command_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "greet.py").write_text(
        '"""`docsheet greet`: greets whoever is named."""\n'
        "import typer\n"
        "from app.errors import StartError\n"
        "def run(name: str, loud: bool = False) -> None:\n"
        "    if name == 'nobody':\n"
        "        raise StartError('Nobody is there.')\n"
        "    typer.echo(f'Hello {name}' + '!' * loud)\n"
    )
    monkeypatch.setattr(__main__, "_FOLDER", tmp_path)
    monkeypatch.setattr(commands, "__path__", [str(tmp_path)])
    assert "Greets whoever is named." in run("--help")[1]
    assert run("greet", "you", "--loud") == (0, "Hello you!\n")
    status, shown = run("greet", "nobody")
    assert (status, shown) == (1, "docsheet: Nobody is there.\n")
    monkeypatch.delitem(sys.modules, "app.commands.greet")
