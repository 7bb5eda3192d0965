"""docs/network.md: its ten steps, one after the other, with its own commands and files.

nginx listens on free ports in place of 443 and 80, curl is told so by its own file; all else is as
the page has it.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from tests.support.ports import free_ports
from tests.support.server import ROOT, LiveServer
from tests.support.waiting import wait_for

PAGE = (ROOT / "docs" / "network.md").read_text()
NAME = "docs.example.org"
PASSWORD = "as long as it should be"
TOOLS = ("nginx", "openssl", "curl", "ss")
missing = [tool for tool in TOOLS if shutil.which(tool) is None]
pytestmark = [
    pytest.mark.mongod,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing), reason=f"missing: {', '.join(missing)}"),
]


def block(language: str, number: int = 0) -> str:
    """The text of a block of the page."""
    return str(re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[number])


def steps() -> Iterator[tuple[str, str]]:
    """Each command for a user's shell, with the output that the page shows."""
    for text in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for part in text.split("\n$ ") if not text.startswith("#") else ():
            command, _, shown = part.removeprefix("$ ").partition("\n")
            yield command, shown.strip()


class Machine:
    """A folder with the page's `.env`, a server in it, nginx before it, and a shell."""

    def __init__(self, folder: Path, mongo_uri: str) -> None:
        self.folder = folder
        self.https, self.http, self.port = free_ports(3)
        self._write_settings(mongo_uri)
        (folder / ".curlrc").write_text(
            f'connect-to = "{NAME}:443:127.0.0.1:{self.https}"\n'
            f'connect-to = "{NAME}:80:127.0.0.1:{self.http}"\n'
        )
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        (bin_folder / "docsheet").symlink_to(ROOT / ".venv" / "bin" / "docsheet")
        self.environment = {
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "PASSWORD": PASSWORD,
            "KEY": "",
        }

    def _write_settings(self, mongo_uri: str) -> None:
        lines = block("ini").replace("PORT=8000", f"PORT={self.port}")
        (self.folder / ".env").write_text(f"{lines}MONGO_URI={mongo_uri}\nDB_NAME=network\n")

    def run(self, command: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        """Runs a command of the page, with the server's own port."""
        return subprocess.run(
            ["bash", "-c", command.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")],
            cwd=self.folder,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def start_nginx(self) -> "subprocess.Popen[bytes]":
        """nginx with the page's own site."""
        site = block("nginx")
        for before, after in (
            ("listen 443 ssl", f"listen 127.0.0.1:{self.https} ssl"),
            ("listen 80;", f"listen 127.0.0.1:{self.http};"),
            ("listen [::]:443 ssl;", ""),
            ("listen [::]:80;", ""),
            ("/etc/nginx/docs", f"{self.folder}/docs"),
            ("/var/log/nginx/docs.log", f"{self.folder}/nginx.log"),
            ("127.0.0.1:8000", f"127.0.0.1:{self.port}"),
        ):
            assert before in site, before
            site = site.replace(before, after)
        above = "daemon off; pid nginx.pid; error_log error.log; events {}"
        (self.folder / "nginx.conf").write_text(f"{above}\nhttp {{\n{site}}}\n")
        command = ["nginx", "-p", str(self.folder), "-c", "nginx.conf"]
        subprocess.run([*command, "-t"], check=True, capture_output=True)
        return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def test_the_ten_steps(mongo_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(Settings.model_fields) & set(os.environ):
        monkeypatch.delenv(name)
    machine = Machine(tmp_path, mongo_uri)
    shutil.copytree(ROOT / "models", tmp_path / "models")
    done: list[str] = []
    server: Any = None
    nginx: Any = None
    try:
        for command, shown in steps():
            if command == "docsheet serve":
                server = serve(machine)
                continue
            if command.startswith("curl") and nginx is None:
                nginx = machine.start_nginx()
                wait_for(lambda: machine.run(f"curl -s http://{NAME}").returncode == 0)
            given = f"{PASSWORD}\n" if "accounts add" in command else ""
            ended = machine.run(command, given)
            check(command, shown, ended)
            done.append(command)
            if "keys add" in command:
                machine.environment["KEY"] = read_key(ended.stdout)
        assert len(done) >= 12
        check_logs(machine)
    finally:
        if nginx is not None:
            nginx.terminate()
            nginx.wait()
        if server is not None:
            server.__exit__(None, None, None)


def serve(machine: Machine) -> LiveServer:
    server = LiveServer(machine.folder)
    server.environment = {"PATH": os.environ["PATH"], "HOME": str(machine.folder)}
    server.__enter__()
    return server


def check(command: str, shown: str, ended: "subprocess.CompletedProcess[str]") -> None:
    """The command did what the page says."""
    if command == "docsheet doctor":
        check_doctor(ended.stdout)
        return
    assert ended.returncode == 0, (command, ended.stdout, ended.stderr)
    assert shown in ended.stdout, (command, ended.stdout, ended.stderr)


def check_doctor(text: str) -> None:
    """It reaches for the name itself, which is none of this machine; all else is closed."""
    states = dict(
        re.findall(r"^ *(ok|open|fails|not permitted|skipped)  (\S[\S ]*?)  ", text, re.MULTILINE)
    )
    assert "open" in states
    found = {name.strip(): state for state, name in re.findall(
        r"^ *(ok|open|fails)  ([\S ]{16})", text, re.MULTILINE)}  # fmt: skip
    closed = ("callers", "password", "accounts", "roles", "keys and shares")
    assert {found[name] for name in closed} == {"ok"}, text
    assert found["https"] == "open"


def read_key(text: str) -> str:
    """The id and the secret, as `user:password`."""
    found = re.search(r"(key_\S+)\s+.*?(\S{30,})\s*$", text, re.DOTALL)
    assert found is not None, text
    return f"{found[1]}:{found[2]}"


def check_logs(machine: Machine) -> None:
    """The server's log has the client's address and the caller, and no secret."""
    log = (machine.folder / "docsheet.log").read_text()
    assert '"client":"127.0.0.1"' in log
    assert '"caller":"ada"' in log
    both = log + (machine.folder / "nginx.log").read_text()
    for secret in (PASSWORD, machine.environment["KEY"].partition(":")[2]):
        assert secret not in both
