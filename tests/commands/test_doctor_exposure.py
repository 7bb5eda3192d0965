"""What `docsheet doctor` says is open: each step on settings and documents of its own."""

import datetime
import http.server
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.uri_parser import parse_uri

from app.commands.doctor import findings
from app.commands.doctor_case import Case, Finding
from app.commands.doctor_exposure import examine_callers, examine_https, examine_password
from app.resources.registry import discover
from app.serving.access import describe_access
from app.settings import Settings
from tests.support.server import LiveServer

NAME = "docs.example.org"
NOW = datetime.datetime.now(datetime.UTC)


def make_case(uri: str = "", **settings: Any) -> Case:
    chosen = Settings(_env_file=None, **settings)  # type: ignore[call-arg]
    case = Case(chosen, uri)
    case.parsed = dict(parse_uri(uri)) if uri else {}
    return case


# --- who gets in ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, ""),
        ({"AUTH": "off"}, ""),
        ({"HOST": "localhost"}, ""),
        ({"HOST": "0.0.0.0"}, ""),  # accounts are on
        ({"AUTH": "on", "ALLOWED_HOSTS": NAME}, ""),
        ({"HOST": "0.0.0.0", "AUTH": "off"}, "HOST is 0.0.0.0"),
        ({"HOST": "::", "AUTH": "off"}, "HOST is ::"),
        ({"ALLOWED_HOSTS": f"localhost,{NAME}"}, "a proxy leads here"),
        ({"ALLOWED_HOSTS": "localhost,*.example.org"}, "a proxy leads here"),
        ({"TRUSTED_PROXIES": "127.0.0.1"}, "a proxy leads here"),
    ],
)
def test_who_reaches_the_data_without_an_account(settings: dict[str, Any], said: str) -> None:
    sentence = describe_access(Settings(_env_file=None, **settings))
    assert said in sentence
    assert bool(sentence) == bool(said)
    finding = examine_callers(make_case(**settings))
    assert finding.state == ("open" if said else "ok")
    assert finding.detail == sentence or not said


def test_any_name_is_too_many() -> None:
    assert examine_callers(make_case(AUTH="on", ALLOWED_HOSTS="*")).state == "open"


@pytest.mark.mongod
def test_the_log_says_it_once_at_the_start(mongo_uri: str) -> None:
    words: dict[str, Any] = {"MONGO_URI": mongo_uri, "DB_NAME": "test", "AUTH": "off"}
    with LiveServer(**words, HOST="0.0.0.0", ALLOWED_HOSTS="0.0.0.0") as live:
        log = live.log
    sentence = "AUTH is off, and HOST is 0.0.0.0: whoever gets there can read and change everything"
    assert log.count(sentence) == 1
    with LiveServer(**words) as live:
        assert "AUTH is off" not in live.log


# --- https ----------------------------------------------------------------------------------------


class Proxied(http.server.BaseHTTPRequestHandler):
    """Answers as this program behind a proxy."""

    headers_of_answer: dict[str, str] = {}  # noqa: RUF012

    def do_GET(self) -> None:
        assert self.path == "/livez"
        self.send_response(200)
        for name, value in self.headers_of_answer.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *words: Any) -> None:
        """Shows nothing."""


@pytest.fixture
def behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A server with https at `NAME`; its answers have the headers that the test puts here."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
         "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
         "-keyout", tmp_path / "key.pem", "-out", tmp_path / "certificate.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    handler = type("Handler", (Proxied,), {"headers_of_answer": {}})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        connect = socket.create_connection
        monkeypatch.setattr(
            socket, "create_connection", lambda place, *rest: connect(server.server_address, *rest)
        )
        yield handler.headers_of_answer  # type: ignore[attr-defined]
        server.shutdown()


BEHIND: dict[str, Any] = {"AUTH": "on", "ALLOWED_HOSTS": f"localhost,{NAME}"}
OURS = {"X-Request-ID": "1", "Strict-Transport-Security": "max-age=31536000"}


def test_our_own_answer_came_by_https(behind: dict[str, str]) -> None:
    behind.update(OURS)
    detail = f"{NAME} answers by https, and this server knows it"
    assert examine_https(make_case(**BEHIND)) == Finding("ok", detail)


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({}, "another server answers there"),
        (
            {"X-Request-ID": "1"},
            "the proxy is not in TRUSTED_PROXIES, so https is not known here",
        ),
    ],
)
def test_what_is_wrong_with_https(
    behind: dict[str, str], headers: dict[str, str], detail: str
) -> None:
    behind.update(headers)
    found = examine_https(make_case(**BEHIND))
    assert (found.state, found.detail) == ("open", f"{NAME}: {detail}")


def test_a_certificate_that_nobody_trusts(
    behind: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    found = examine_https(make_case(**BEHIND))
    assert found.state == "open"
    assert found.detail.startswith(f"{NAME}: its certificate is not trusted here (self")


def test_where_nothing_can_be_asked() -> None:
    assert examine_https(make_case()).state == "ok"
    assert examine_https(make_case(HOST="0.0.0.0")).detail.startswith("no name in ALLOWED_HOSTS")
    unknown = make_case(AUTH="on", ALLOWED_HOSTS="nowhere.invalid")
    assert examine_https(unknown).detail.startswith("nowhere.invalid: no https answers there")


# --- the database's password ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "state"),
    [
        ("mongodb://docsheet:XkR5-long@db.example.org", "ok"),
        ("mongodb://docsheet:docsheet@db.example.org", "open"),
        ("mongodb://ada:ada@db.example.org", "open"),
        ("mongodb://root:Example@127.0.0.1", "open"),
        ("mongodb://127.0.0.1", "ok"),
        ("mongodb://%2Ftmp%2Fmongodb.sock", "ok"),
        ("mongodb://db.example.org", "open"),
        ("mongodb://127.0.0.1,db.example.org", "open"),
    ],
)
def test_a_password_that_all_know(uri: str, state: str) -> None:
    found = examine_password(make_case(uri))
    assert found.state == state
    assert "XkR5" not in found.detail + found.fix


# --- what is stored -------------------------------------------------------------------------------


@pytest.fixture
def database(mongo_uri: str) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        yield client["exposed"]
        client.drop_database("exposed")


def examined(uri: str, **settings: Any) -> dict[str, Finding]:
    chosen = Settings(DB_NAME="exposed", _env_file=None, **settings)  # type: ignore[call-arg]
    return dict(findings(Case(chosen, uri)))


@pytest.mark.mongod
def test_somebody_must_let_others_in(database: Any, mongo_uri: str) -> None:
    accounts = database["docsheet.accounts"]
    assert examined(mongo_uri)["accounts"] == Finding("ok", "AUTH is off")
    accounts.insert_one({"name": "ada", "role": "admin", "disabled": True})
    assert examined(mongo_uri, AUTH="on")["accounts"].state == "fails"
    accounts.insert_one({"name": "bob", "role": "admin", "disabled": False})
    assert examined(mongo_uri, AUTH="on")["accounts"].state == "ok"


@pytest.mark.mongod
def test_a_role_that_stopped_being_true(database: Any, mongo_uri: str) -> None:
    name = next(iter(discover("models").values())).address
    roles = database["docsheet.roles"]
    roles.insert_one({"name": "fine", "rules": {name: {"read": True}}})
    assert examined(mongo_uri)["roles"] == Finding("ok", "all are true")
    roles.insert_one({"name": "old", "rules": {name: {"read": {"hide": ["gone"]}}}})
    found = examined(mongo_uri)["roles"]
    assert found.state == "fails"
    assert f"The role 'old' is closed at #/rules/{name}/read/hide" in found.detail
    assert "fine" not in found.detail
    roles.insert_one({"name": "odd", "rules": {name: {"delete": {"where": "keyword=("}}}})
    said = f"The role 'odd' is closed at #/rules/{name}/delete/where: MongoDB refuses"
    assert said in examined(mongo_uri)["roles"].detail


@pytest.mark.mongod
def test_what_never_ends(database: Any, mongo_uri: str) -> None:
    day = datetime.timedelta(days=1)
    keys, shares = database["docsheet.keys"], database["docsheet.shares"]
    keys.insert_one({"_id": "key_1", "expires": NOW + day})
    shares.insert_one({"name": "a", "digest": "1", "expires": NOW + 300 * day})
    assert examined(mongo_uri)["keys and shares"].state == "ok"
    keys.insert_many([{"_id": "key_2", "expires": None}, {"_id": "key_3"}])
    shares.insert_many([{"digest": "2", "expires": NOW + 400 * day}, {"digest": "3"}])
    found = examined(mongo_uri)["keys and shares"]
    assert found.state == "open"
    assert found.detail == "2 keys never expire; 2 shares last longer than a year"
