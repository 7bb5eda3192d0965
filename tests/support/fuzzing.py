"""A fuzzer (schemathesis) that calls a server by its own description."""

import subprocess
import sys
from pathlib import Path

from tests.support.server import LiveServer

SECONDS = 60
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
OPTIONS = {
    "--checks": ",".join(CHECKS),
    "--max-time": str(SECONDS),
    "--phases": "coverage,fuzzing",
    "--seed": "1",
    "--generation-database": "none",
    "--max-failures": "5",
    "--request-timeout": "20",
    "--suppress-health-check": "all",
}


def fuzz(server: LiveServer, folder: Path, **headers: str) -> None:
    """Fails where an answer is a server error, or is not as the description has it."""
    command: list[str | Path] = [Path(sys.executable).parent / "schemathesis", "run", "--no-color"]
    for name, value in OPTIONS.items():
        command += [name, value]
    for name, value in headers.items():
        command += ["--header", f"{name}: {value}"]
    done = subprocess.run(
        [*command, f"{server.address}/openapi.json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:] + server.log[-4000:]
