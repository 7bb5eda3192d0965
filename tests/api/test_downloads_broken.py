"""Something ends in mid-export: never half a file that looks whole, and nothing left behind."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from app.servers.embedded import EmbeddedDatabase
from tests.support.exports import BIG, download, export_processes, record, serving, slow_client
from tests.support.filling import fill, large_users
from tests.support.mongod import needs_mongod, require_mongod
from tests.support.processes import children, lives, private_bytes
from tests.support.server import ROOT, LiveServer
from tests.support.waiting import LONGEST, wait_for

pytestmark = needs_mongod
FORMATS = ("csv", "xlsx", "ndjson", "json")
DOCUMENTS = 30_000
SLOW = "name__regex=(.*a){12}$"  # many minutes of work, without a hit
PROXIED = "docsheet.example.org"
BROKEN = httpx.RemoteProtocolError


@pytest.fixture(scope="module")
def big(mongo_uri: str) -> Iterator[Any]:
    """PyMongo's client of the mongod with the big collection."""
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        fill(client[BIG]["users"], large_users(DOCUMENTS))
        yield client
        client.drop_database(BIG)


@pytest.fixture(scope="module")
def server(mongo_uri: str, big: Any) -> Iterator[LiveServer]:
    """A server with every middleware, and few places."""
    with serving(mongo_uri, QUERY_TIME_LIMIT_SECONDS=3600) as live:
        yield live


@pytest.fixture
def http(server: LiveServer) -> Iterator[httpx.Client]:
    """A client that takes no compression, so that bytes can be counted."""
    with slow_client(server.address) as client:
        yield client


@pytest.fixture(scope="module")
def hasty(mongo_uri: str, big: Any) -> Iterator[LiveServer]:
    """A server that soon cuts off who takes nothing."""
    with serving(mongo_uri, STALL_LIMIT_SECONDS=2) as live:
        yield live


def cursors(client: "MongoClient[Any]") -> int:
    """The cursors that are open at the database."""
    return int(client.admin.command("serverStatus")["metrics"]["cursor"]["open"]["total"])


def work_on_users(client: "MongoClient[Any]") -> list[Any]:
    """What the database does with the big collection at this moment."""
    asked = [{"$currentOp": {}}, {"$match": {"ns": f"{BIG}.users"}}]
    return client.admin.aggregate(asked).to_list()


# --- something is killed --------------------------------------------------------------------------


@pytest.mark.parametrize("format_", FORMATS)
def test_the_exports_process_is_killed(
    server: LiveServer, http: httpx.Client, format_: str
) -> None:
    with download(http, format_) as answer:
        parts = answer.iter_raw()
        next(parts)
        (process,) = export_processes(server)
        os.kill(process, signal.SIGKILL)
        with pytest.raises(BROKEN):
            list(parts)
    found = record(http, answer)
    assert (found["state"], found["sha256"]) == ("failed", None)
    assert "signal 9 (SIGKILL)" in found["detail"]
    assert 0 < found["documents"] < DOCUMENTS


@pytest.mark.slow
@pytest.mark.parametrize("format_", FORMATS)
def test_the_server_is_killed(mongo_uri: str, big: Any, format_: str) -> None:
    with serving(mongo_uri) as live:
        with slow_client(live.address) as http, download(http, format_) as answer:
            parts = answer.iter_raw()
            next(parts)
            processes = [*export_processes(live), *children(live.process.pid)]
            assert len(processes) >= 2
            live.process.kill()
            with pytest.raises(BROKEN):
                list(parts)
        wait_for(lambda: not any(map(lives, processes)))


@pytest.mark.slow
@pytest.mark.parametrize("format_", FORMATS)
def test_the_database_dies_for_good(format_: str) -> None:
    require_mongod()
    with (
        tempfile.TemporaryDirectory(prefix="docsheet-") as folder,
        EmbeddedDatabase.open(Path(folder), 256, 1800) as embedded,
    ):
        with MongoClient[dict[str, Any]](embedded.uri) as client:
            fill(client[BIG]["users"], large_users(DOCUMENTS))
        with (
            serving(embedded.uri, PRIMARY_WAIT_SECONDS=1) as live,
            slow_client(live.address) as http,
            download(http, format_) as answer,
        ):
            parts = answer.iter_raw()
            next(parts)
            embedded.close()
            with pytest.raises(BROKEN):
                list(parts)
            assert live.logged("could not be recorded")
            unreachable = http.get(f"/users/export/{format_}")
            assert unreachable.status_code == 503
            assert unreachable.headers["retry-after"]


def test_curl_sees_it(server: LiveServer, http: httpx.Client, tmp_path: Path) -> None:
    file = tmp_path / "users.csv"
    command = [
        "curl",
        "-sf",
        "--limit-rate",
        "2M",
        "-o",
        str(file),
        f"{server.address}/users/export/csv",
    ]
    with subprocess.Popen(command) as curl:
        wait_for(lambda: file.exists() and file.stat().st_size > 10_000)
        for process in export_processes(server):
            os.kill(process, signal.SIGKILL)
        assert curl.wait(LONGEST) == 18


@pytest.mark.slow
def test_the_fork_server_is_killed(mongo_uri: str, big: Any) -> None:
    with serving(mongo_uri) as live:
        httpx.get(f"{live.address}/users/export/csv?limit=1").raise_for_status()
        for process in children(live.process.pid):
            os.kill(process, signal.SIGKILL)
        time.sleep(0.2)
        assert httpx.get(f"{live.address}/users/export/csv?limit=1", timeout=60).status_code == 200


@pytest.mark.slow
def test_without_our_protocol_it_breaks_too(mongo_uri: str, big: Any) -> None:
    """`uvicorn app.main:app` has no transport in the scope."""
    with serving(mongo_uri) as live:
        live.process.terminate()
        live.process.wait()
        assert live.process.stdout is not None
        live.process.stdout.close()
        command = [sys.executable, "-m", "uvicorn", "app.main:app", "--port", str(live.port)]
        live.process = subprocess.Popen(
            command,
            env=live.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        wait_for(lambda: _answers(live))
        with slow_client(live.address) as http, download(http, "json") as answer:
            parts = answer.iter_raw()
            next(parts)
            for process in export_processes(live):
                os.kill(process, signal.SIGKILL)
            with pytest.raises(BROKEN):
                list(parts)


def _answers(live: LiveServer) -> bool:
    try:
        return httpx.get(f"{live.address}/livez").status_code == 200
    except httpx.TransportError:
        return False


# --- a client that leaves, stalls, or is slow -----------------------------------------------------


@pytest.mark.parametrize("query", ["", "sort=name", "sort=-email", "name__contains=a"])
def test_a_client_that_leaves(server: LiveServer, http: httpx.Client, big: Any, query: str) -> None:
    before = cursors(big)
    with download(http, f"ndjson?{query}") as answer:
        parts = answer.iter_raw()  # if it goes, the connection does
        next(parts)
        assert export_processes(server), server.log
    wait_for(lambda: not export_processes(server))
    found = record(http, answer)
    assert (found["state"], found["detail"]) == ("left", "the client left")
    assert 0 < found["documents"] == found["rows"] < DOCUMENTS
    assert 100_000 < found["bytes"] < 50_000_000
    wait_for(lambda: cursors(big) <= before)
    wait_for(lambda: not work_on_users(big))


def test_a_client_that_leaves_before_the_first_byte(
    server: LiveServer, http: httpx.Client, big: Any
) -> None:
    """The database works on a pattern that takes it many minutes."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = f"GET /users/export/csv?{SLOW}&sort=name HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection.sendall(head.encode())
        wait_for(lambda: work_on_users(big))
        assert export_processes(server)
    wait_for(lambda: not export_processes(server))
    wait_for(lambda: not work_on_users(big))
    http.get("/users/export/csv?limit=1").raise_for_status()


def test_a_client_that_leaves_while_the_process_is_being_made(mongo_uri: str, big: Any) -> None:
    with serving(mongo_uri, spawn=True) as live:
        for milliseconds in (
            1,
            2,
            4,
            8,
            16,
            50,
            3,
            5,
            7,
        ):  # the first ones while the fork server is not up yet
            with socket.create_connection(("127.0.0.1", live.port)) as connection:
                connection.sendall(b"GET /users/export/csv HTTP/1.1\r\nHost: localhost\r\n\r\n")
                time.sleep(milliseconds / 1_000)
        wait_for(lambda: not export_processes(live))
        assert httpx.get(f"{live.address}/users/export/csv?limit=1").status_code == 200
        assert "Traceback" not in live.log, live.log


@pytest.mark.slow
def test_a_query_past_its_time_limit_is_503(mongo_uri: str, big: Any) -> None:
    with serving(mongo_uri, QUERY_TIME_LIMIT_SECONDS=1) as live:
        answer = httpx.get(f"{live.address}/users/export/csv?{SLOW}", timeout=60)
        assert (answer.status_code, answer.headers["content-type"]) == (
            503,
            "application/problem+json",
        )
        assert "QUERY_TIME_LIMIT_SECONDS" in answer.json()["detail"]


def test_a_whole_export_ends_its_session(server: LiveServer, http: httpx.Client, big: Any) -> None:
    def ended() -> int:
        return int(big.admin.command("serverStatus")["metrics"]["commands"]["endSessions"]["total"])

    def export() -> bool:
        http.get("/users/export/csv?limit=1").raise_for_status()
        return ended() > before

    before = ended()
    wait_for(export)  # one whose database answers too late leaves its session


@pytest.mark.slow
@pytest.mark.parametrize("format_", FORMATS)
def test_a_client_that_stalls_is_cut_off(hasty: LiveServer, format_: str) -> None:
    with slow_client(hasty.address) as http:
        with download(http, format_) as answer:
            parts = answer.iter_raw()
            next(parts)
            wait_for(lambda: not export_processes(hasty))
            with pytest.raises((BROKEN, httpx.ReadError)):
                list(parts)
        found = record(http, answer)
    assert (found["state"], found["detail"]) == ("left", "the client took no byte for 2 seconds")
    assert hasty.logged("was cut off")


@pytest.mark.slow
def test_a_client_that_stalls_at_the_end_is_cut_off(hasty: LiveServer) -> None:
    """The last bytes are with the server, not with an export process."""
    with slow_client(hasty.address) as http, download(http, "ndjson?limit=4500") as answer:
        parts = answer.iter_raw()  # if it goes, the connection does
        next(parts)
        assert record(http, answer)["state"] == "left"


@pytest.mark.slow
def test_a_client_that_reads_a_kilobyte_a_second_holds_few_batches(
    mongo_uri: str, big: Any
) -> None:
    with serving(mongo_uri) as live, socket.socket() as connection:
        httpx.get(f"{live.address}/users/export/csv?limit=1").raise_for_status()
        before = private_bytes(live.process.pid)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", live.port))
        connection.sendall(b"GET /users/export/csv HTTP/1.1\r\nHost: localhost\r\n\r\n")
        export_id = re.search(rb"x-export-id: (\w+)", connection.recv(1024))
        assert export_id is not None
        for _ in range(10):
            assert connection.recv(1024)
            time.sleep(1)
        (process,) = export_processes(live)
        assert private_bytes(live.process.pid) - before < 8 * 2**20
        assert private_bytes(process) < 40 * 2**20
        connection.close()
        wait_for(lambda: not export_processes(live))
        recorded = f"{live.address}/exports/{export_id[1].decode()}"
        wait_for(lambda: httpx.get(recorded).json()["state"] == "left")
        assert 0 < httpx.get(recorded).json()["documents"] < DOCUMENTS / 3


@pytest.mark.slow
def test_a_hundred_stalled_clients_are_cut_off_and_the_rest_is_answered(
    mongo_uri: str, big: Any
) -> None:
    """How fast it is answered meanwhile: `scripts/bench latency`."""
    with (
        serving(mongo_uri, EXPORTS_AT_ONCE=100, STALL_LIMIT_SECONDS=45) as live,
        slow_client(live.address) as http,
    ):
        answers = []
        for _ in range(100):
            answers.append(http.send(http.build_request("GET", "/users/export/csv"), stream=True))
            assert answers[-1].status_code == 200
        assert len(export_processes(live)) == 100
        with httpx.Client(base_url=live.address) as other:
            for number in range(50):
                other.get(f"/users/{number}").raise_for_status()
                other.patch(f"/users/{number}", json={"age": number}).raise_for_status()
        wait_for(lambda: not export_processes(live), 2 * LONGEST)
        states = [
            httpx.get(f"{live.address}/exports/{one.headers['x-export-id']}").json()["state"]
            for one in answers
        ]
        assert states == ["left"] * 100
        for answer in answers:
            with pytest.raises((BROKEN, httpx.ReadError)):
                answer.read()


# --- through a proxy ------------------------------------------------------------------------------


@contextmanager
def nginx(
    folder: Path, servers: list[LiveServer], http_version: str = "1.1"
) -> Iterator[httpx.Client]:
    """A client of nginx with the configuration of docs/operations.md, without TLS."""
    documented = re.search(
        r"```nginx\n(.*?)```", (ROOT / "docs/operations.md").read_text(), re.DOTALL
    )
    assert documented is not None
    site = documented[1].replace("proxy_http_version 1.1", f"proxy_http_version {http_version}")
    site = site.replace("$scheme", "https").replace(
        "listen 443 ssl", f"listen unix:{folder}/nginx.sock"
    )
    for port, live in zip((8000, 8001), servers, strict=True):
        site = site.replace(f"127.0.0.1:{port}", f"127.0.0.1:{live.port}")
    logs = "daemon off; pid nginx.pid; error_log error.log;"
    (folder / "nginx.conf").write_text(f"{logs}\nevents {{}}\nhttp {{\naccess_log off;\n{site}}}\n")
    with subprocess.Popen(
        ["nginx", "-p", folder, "-c", "nginx.conf"], stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_for((folder / "nginx.sock").exists)
            transport = httpx.HTTPTransport(uds=str(folder / "nginx.sock"))
            with httpx.Client(
                transport=transport, base_url=f"http://{PROXIED}", timeout=60
            ) as http:
                yield http
        finally:
            process.terminate()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is missing")
def test_behind_nginx(mongo_uri: str, big: Any) -> None:
    hosts = f"{PROXIED},127.0.0.1"
    with (
        tempfile.TemporaryDirectory(prefix="docsheet-") as folder,
        serving(mongo_uri, ALLOWED_HOSTS=hosts, TRUSTED_PROXIES="127.0.0.1") as one,
        serving(mongo_uri, ALLOWED_HOSTS=hosts, TRUSTED_PROXIES="127.0.0.1") as other,
    ):
        with nginx(Path(folder), [one, other]) as http:
            for format_ in FORMATS:
                with download(http, format_) as whole:
                    size = sum(map(len, whole.iter_bytes()))
                assert record(http, whole)["bytes"] == size
                with download(http, format_) as broken:
                    parts = broken.iter_raw()
                    next(parts)
                    for process in [*export_processes(one), *export_processes(other)]:
                        os.kill(process, signal.SIGKILL)
                    with pytest.raises(BROKEN):
                        list(parts)
                assert record(http, broken)["state"] == "failed"
            with download(http, "ndjson") as left:
                next(left.iter_raw())
            assert record(http, left)["state"] == "left"
            page = http.get("/users/?limit=1&fields=name")
            assert page.links["next"]["url"].startswith(f"https://{PROXIED}/users/?")
            file = b"nmae\n" + b"x\n" * 2_000_000  # larger than a JSON body may be
            sent = http.post("/users/import", content=file, headers={"Content-Type": "text/csv"})
            assert (sent.status_code, "Did you mean 'name'?" in sent.text) == (422, True)
        with nginx(Path(folder), [one, other], http_version="1.0") as http:
            assert http.get("/users/export/csv").status_code == 505


# --- so many at once ------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_next_one_waits_for_its_turn(mongo_uri: str, big: Any) -> None:
    with (
        serving(mongo_uri, EXPORTS_AT_ONCE=2, EXPORT_WAIT_SECONDS=0.5) as server,
        slow_client(server.address) as http,
        download(http, "csv") as first,
        download(http, "csv"),
    ):
        parts = first.iter_raw()  # if it goes, the connection does
        next(parts)
        refused = http.get("/users/export/csv?limit=1")
        assert (refused.status_code, refused.headers["content-type"]) == (
            503,
            "application/problem+json",
        )
        assert int(refused.headers["retry-after"]) > 0
        assert http.head("/users/export/csv").status_code == 200
        threading.Timer(0.2, first.close).start()
        assert http.get("/users/export/csv?limit=1").status_code == 200


@pytest.mark.slow
def test_no_waiting_at_all(mongo_uri: str, big: Any) -> None:
    with serving(mongo_uri, EXPORTS_AT_ONCE=1, EXPORT_WAIT_SECONDS=0) as live:
        for _ in range(3):
            assert httpx.get(f"{live.address}/users/export/csv?limit=1").status_code == 200
            time.sleep(0.1)


# --- the server is stopped ------------------------------------------------------------------------


@pytest.mark.slow
def test_sigterm_ends_exports_within_the_grace_time(mongo_uri: str, big: Any) -> None:
    with serving(mongo_uri, SHUTDOWN_GRACE_SECONDS=1) as live:
        with (
            slow_client(live.address) as http,
            download(http, "csv") as stalled,
            download(http, "xlsx") as other,
        ):
            parts = stalled.iter_raw(), other.iter_raw()
            for part in parts:
                next(part)
            processes = [*export_processes(live), *children(live.process.pid)]
            live.process.send_signal(signal.SIGTERM)
            live.process.wait(LONGEST)
            for part in parts:
                with pytest.raises((BROKEN, httpx.ReadError)):
                    list(part)
        wait_for(lambda: not any(map(lives, processes)))
        assert "Traceback" not in live.log, live.log
        for answer in (stalled, other):
            found = big[BIG]["docsheet.exports"].find_one({"_id": answer.headers["x-export-id"]})
            assert (found["state"], found["detail"]) == ("failed", "the server stopped")


@pytest.mark.slow
def test_sigterm_lets_a_short_export_finish(mongo_uri: str, big: Any) -> None:
    with serving(mongo_uri, SHUTDOWN_GRACE_SECONDS=20) as live:
        with slow_client(live.address) as http, download(http, "ndjson") as answer:
            parts = answer.iter_raw()
            next(parts)
            processes = [live.process.pid, *children(live.process.pid), *export_processes(live)]
            assert len(processes) >= 3
            for process in processes:  # as systemd does
                os.kill(process, signal.SIGTERM)
            list(parts)
        assert live.process.wait(LONGEST) == 0
        wait_for(lambda: not any(map(lives, processes)))
        found = big[BIG]["docsheet.exports"].find_one({"_id": answer.headers["x-export-id"]})
        assert found["state"] == "complete"
