"""The compose stack: its file, and its one-shot services on real mongods."""

import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from app.errors import StartError
from app.servers.process import Mongod
from app.servers.replica_set import _find_free_ports
from app.servers.stack import found_set, keep_secrets, make_administrator
from app.settings import Settings
from tests.support.mongod import require_mongod
from tests.support.server import ROOT, LiveServer

ODD = "p@ss:w/rd%40 $HOME+ü"


@pytest.fixture(scope="module")
def text() -> str:
    return (ROOT / "docker-compose.yml").read_text()


@pytest.fixture(scope="module")
def compose(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


# --- the files ------------------------------------------------------------------------------------


def test_no_setting_of_the_committed_env_file_leaks_into_it(text: str) -> None:
    used = set(re.findall(r"\$\{(\w+)", text))
    assert used
    assert all(name.startswith("DOCSHEET_") for name in used - {"MAKES_ROOT"}), (
        used
    )  # $${MAKES_ROOT…} is the shell's
    assert not used & {line.partition("=")[0] for line in (ROOT / ".env").read_text().splitlines()}


def test_it_sets_no_setting_that_there_is_not(compose: dict[str, Any]) -> None:
    assert set(compose["services"]["api"]["environment"]) <= set(Settings.model_fields)


def test_only_the_api_is_published_and_on_loopback(compose: dict[str, Any]) -> None:
    published = {
        name: service["ports"]
        for name, service in compose["services"].items()
        if "ports" in service
    }
    assert published == {"api": ["${DOCSHEET_ADDRESS:-127.0.0.1}:${DOCSHEET_PORT-8000-8009}:8000"]}


def test_no_password_is_in_it(text: str) -> None:
    for name in ("DOCSHEET_ROOT_PASSWORD", "DOCSHEET_DB_PASSWORD", "DOCSHEET_REPLICA_KEY"):
        assert f"${{{name}:-}}" in text
    assert "://" not in text.replace("http://127.0.0.1:8000", "")


def test_the_api_sees_no_secret_of_root(compose: dict[str, Any]) -> None:
    assert compose["services"]["api"]["volumes"] == ["access:/access:ro"]


def test_every_variable_is_explained(text: str) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    assert {
        name for name in re.findall(r"\$\{(DOCSHEET_\w+)", text) if f"`{name}`" not in page
    } == set()


def test_every_setting_is_explained_with_its_default() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| ([^|]*) \|", page, re.MULTILINE))
    for name, field in Settings.model_fields.items():
        assert name in rows, f"docs/operations.md lacks {name}"
        default = (
            ",".join(field.default) if isinstance(field.default, tuple) else str(field.default)
        )
        assert rows[name].strip("` ") == default, (
            f"docs/operations.md has another default for {name}"
        )
    assert (
        not set(rows)
        - set(Settings.model_fields)
        - {name for name in rows if name.startswith("DOCSHEET_")}
    )


def test_the_image_is_not_root_and_has_a_health_check() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    last = dockerfile.rpartition("\nFROM ")[2]
    assert "\nUSER docsheet\n" in last
    assert "\nHEALTHCHECK " in last
    assert "apt-get" not in last
    assert "HOST=0.0.0.0" in last


# --- secrets --------------------------------------------------------------------------------------


def test_strong_secrets_are_made_once_and_kept(tmp_path: Path) -> None:
    keep_secrets(tmp_path, {})
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert sorted(made) == ["admin", "api", "key", "root"]
    assert min(map(len, made.values())) >= 40
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o400}
    keep_secrets(tmp_path, {"DOCSHEET_ROOT_PASSWORD": ""})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == made


def test_chosen_secrets_are_taken_as_they_are(tmp_path: Path) -> None:
    keep_secrets(
        tmp_path,
        {
            "DOCSHEET_ROOT_PASSWORD": ODD,
            "DOCSHEET_DB_PASSWORD": ODD,
            "DOCSHEET_REPLICA_KEY": "abcdef",
        },
    )
    assert [(tmp_path / name).read_text() for name in ("root", "api", "key")] == [
        ODD,
        ODD,
        "abcdef",
    ]


@pytest.mark.parametrize("name", ["DOCSHEET_ROOT_PASSWORD", "DOCSHEET_REPLICA_KEY"])
def test_another_secret_on_an_old_volume_is_refused_with_the_way_out(
    tmp_path: Path, name: str
) -> None:
    keep_secrets(tmp_path, {})
    with pytest.raises(
        StartError, match=rf"^{name} is not the one .* set the old one, or none .*down -v"
    ):
        keep_secrets(tmp_path, {name: "anotherone"})


def test_the_administrators_password_is_kept_as_it_was_first(tmp_path: Path) -> None:
    keep_secrets(tmp_path, {"DOCSHEET_ADMIN_PASSWORD": ODD})
    keep_secrets(tmp_path, {"DOCSHEET_ADMIN_PASSWORD": "another one"})
    assert (tmp_path / "admin").read_text() == ODD


def test_a_key_that_mongod_would_refuse_is_refused_first(tmp_path: Path) -> None:
    with pytest.raises(
        StartError, match="DOCSHEET_REPLICA_KEY: a key has 6 to 1024 characters of base64"
    ):
        keep_secrets(tmp_path, {"DOCSHEET_REPLICA_KEY": "not base64!"})


# --- founding, on three real nodes with a key file ------------------------------------------------


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Three nodes as the compose file starts them: root on the first alone, no set yet."""
    require_mongod()
    folder = tmp_path_factory.mktemp("nodes")
    key = folder / "key"
    key.write_text("abcdef0123456789")
    key.chmod(0o400)
    names = [f"127.0.0.1:{port}" for port in _find_free_ports(3)]
    cache = (
        "--wiredTigerCacheSizeGB",
        "0.25",
        "--setParameter",
        "diagnosticDataCollectionEnabled=false",
    )
    first = Mongod(folder / names[0], names[0], *cache)
    first.start()
    with MongoClient[dict[str, Any]](
        f"mongodb://{names[0]}"
    ) as client:  # what the image's entrypoint does
        client.admin.command("createUser", "root", pwd=ODD, roles=["root"])
    first.stop()
    nodes = [
        Mongod(folder / name, name, "--replSet", "rs0", "--keyFile", str(key), *cache)
        for name in names
    ]
    for node in nodes:
        node.start()
    yield names
    for node in nodes:
        node.kill()


@pytest.mark.replica_set
@pytest.mark.slow
def test_the_set_is_founded_once_and_the_api_has_a_user_for_its_database_only(
    hosts: list[str],
) -> None:
    uri = found_set(hosts, ODD, ODD, "mydb")
    with MongoClient[dict[str, Any]](uri) as client:
        client.mydb.things.insert_one({})
        with pytest.raises(OperationFailure, match="not authorized"):
            client.other.things.insert_one({})
        config = client.admin.command("hello")
    assert config["hosts"] == hosts

    assert found_set(hosts, ODD, ODD, "mydb") == uri
    with MongoClient[dict[str, Any]](uri) as client:
        assert (
            client.mydb.things.count_documents({}),
            client.admin.command("hello")["setVersion"],
        ) == (
            1,
            config["setVersion"],
        )
    changed = found_set(hosts, ODD, "another@one", "mydb")
    with MongoClient[dict[str, Any]](changed) as client:
        assert client.mydb.things.count_documents({}) == 1
    with pytest.raises(StartError, match="does not know root by the password in the volume"):
        found_set(hosts, "wrong", ODD, "mydb")


@pytest.mark.slow
def test_the_first_administrator_is_made_once_and_can_sign_in(
    hosts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    uri = found_set(hosts, ODD, ODD, "accounts")
    with pytest.raises(StartError, match="must have 8 to 128 characters"):
        make_administrator(uri, "short", "accounts")
    assert make_administrator(uri, ODD, "accounts") is True
    assert make_administrator(uri, "another password", "accounts") is False
    with LiveServer(MONGO_URI=uri, DB_NAME="accounts", AUTH="on") as live:
        address = f"{live.address}/auth/me"
        assert httpx.get(address).status_code == 401
        assert httpx.get(address, auth=("admin", "another password")).status_code == 401
        answer = httpx.get(address, auth=("admin", ODD))
    assert (answer.status_code, answer.json()["role"]) == (200, "admin")
