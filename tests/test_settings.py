"""Settings: what can't be used stops the start with its name."""

from pathlib import Path

import pytest

from app.errors import SettingError
from app.settings import Settings, read_settings

NAMES = tuple(Settings.model_fields)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "abc"), ("PORT", "70000"), ("PORT", "-1"), ("BODY_LIMIT_MIB", "17"),
        ("BODY_LIMIT_MIB", "nan"),
        ("BODY_LIMIT_MIB", "0"), ("QUERY_TIME_LIMIT_SECONDS", "-1"),
        ("QUERY_TIME_LIMIT_SECONDS", "inf"),
        ("DB_NAME", "a/b"), ("DB_NAME", "x" * 64), ("DB_NAME", "local"), ("DB_NAME", "admin"),
        ("ALLOWED_HOSTS", ","), ("ALLOWED_HOSTS", "https://a.b"), ("ALLOWED_HOSTS", "a.b:80"),
        ("ALLOWED_HOSTS", "[::1]:80"),
        ("CORS_ORIGINS", "example.org"),
        ("CORS_ORIGINS", "https://a/b"),
        ("MONGO_URI", "http://x"), ("MONGO_URI", "mongodb://"), ("MONGO_URI", "mongodb://h:99999"),
        ("MONGO_URI", "mongodb://u:p%zz@h"), ("EXPORT_READ_PREFERENCE", "fastest"),
        ("SEARCHES_AT_ONCE", "0"), ("AUTH", "yes"), ("SECRET_KEY", "x" * 31),
        ("EXPORTS_AT_ONCE", "1.5"), ("WORKERS", "0"), ("EMBEDDED_CACHE_MIB", "1"),
        ("EMBEDDED_CACHE_MIB", "99999999"), ("EMBEDDED_SNAPSHOT_SECONDS", "9999999999"),
        ("EXPORT_RECORD_SECONDS", "9999999999"), ("AUDIT_DAYS", "24856"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["environment", "file"])
def test_impossible_value_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, place: str
) -> None:
    if place == "file":
        Path(".env").write_text(f"{name}={value}\n")
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match=name) as caught:
        read_settings()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("PROT=8000", "PROT: .env has it, but there is no such setting. Did you mean 'PORT'?"),
        ("NONSENSE_AT_ALL=1", "NONSENSE_AT_ALL: .env has it, but there is no such setting."),
        ("PORT: 1",
         ".env, line 2: 'PORT: 1' sets nothing; a line is NAME=value. Did you mean 'PORT=1'?"),
        ("PORT", ".env, line 2: 'PORT' sets nothing"),
        ("MONGO_URI: mongodb://u:hush@h", "Did you mean 'MONGO_URI=mongodb://…'?"),
    ],
)  # fmt: skip
def test_a_line_of_the_file_that_sets_nothing_is_named(line: str, words: str) -> None:
    Path(".env").write_text(f"# first\n{line}\n")
    with pytest.raises(SettingError) as caught:
        read_settings()
    assert words in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_file_that_is_no_text_is_named() -> None:
    Path(".env").write_bytes(b"DB_NAME=\xff\n")
    with pytest.raises(SettingError, match=r"\.env can't be read .* UTF-8"):
        read_settings()


def test_what_the_file_has_for_compose_is_no_setting_of_ours() -> None:
    Path(".env").write_text("DOCSHEET_PORT=\nDOCSHEET_TAG=x\nCOMPOSE_PROJECT_NAME=y\nPORT=7\n")
    assert read_settings().PORT == 7


def test_the_command_line_wins() -> None:
    Path(".env").write_text("PORT=7\n")
    assert read_settings(PORT=8).PORT == 8
    with pytest.raises(SettingError, match="PORT"):
        read_settings(PORT=70_000)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DB_NAME", "my db", "DB_NAME: 'my db' has a space; letters, digits, - and _ are fine."),
        ("DB_NAME", "a/b", "DB_NAME: 'a/b' has '/'; letters"),
        ("MONGO_URI", "mongodb://user@host", "MONGO_URI: it names a user without a password"),
        ("MONGO_URI", "mongodb://host/?w=0", "MONGO_URI: w=0 leaves every write unconfirmed"),
        ("MONGO_URI", "mongodb+srv://host.example/?retryWrites=true&W=0", "w=0 leaves every write"),
        ("MONGO_URI", "mongodb://h/?tls=true&tlsCAFile=/no/file",
         "MONGO_URI: a file for TLS can't"),
        ("MONGO_URI", "mongodb://h/?tls=true&tlsCAFile=/etc/passwd",
         "a file for TLS can't be read"),
        ("MONGO_URI", "mongodb://h/?authMechanism=GSSAPI", "MONGO_URI: GSSAPI requires a username"),
    ],
)  # fmt: skip
def test_the_reason_is_in_plain_words(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError) as caught:
        read_settings()
    assert words in str(caught.value)


def test_a_write_concern_that_confirms_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for concern in ("majority", "1", "2"):
        monkeypatch.setenv("MONGO_URI", f"mongodb://host/?w={concern}")
        assert read_settings().MONGO_URI


def test_secret_of_the_uri_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGO_URI", "mongodb://user:hush@host:port/")
    with pytest.raises(SettingError) as caught:
        read_settings()
    assert "hush" not in str(caught.value)


def test_environment_wins_over_the_file_and_empty_is_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text(
        "PORT=1\nDB_NAME=file\nMONGO_URI=\nALLOWED_HOSTS= a , [::1] ,\nAUTH=On\n"
    )
    monkeypatch.setenv("PORT", "2")
    settings = read_settings()
    assert (settings.PORT, settings.DB_NAME, settings.MONGO_URI) == (2, "file", "")
    assert settings.ALLOWED_HOSTS == ("a", "::1")
    assert settings.AUTH == "on"


def test_committed_file_holds_the_defaults_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    assert read_settings() == Settings(_env_file=None)  # type: ignore[call-arg]


def test_every_setting_says_what_it_is() -> None:
    assert all(info.description for info in Settings.model_fields.values())


@pytest.mark.parametrize(
    ("chosen", "on"),
    [
        ({}, False), ({"HOST": "localhost"}, False), ({"HOST": "127.0.0.2"}, False),
        ({"HOST": "::1"}, False), ({"HOST": "0.0.0.0"}, True), ({"HOST": "::"}, True),
        ({"HOST": "192.168.1.5"}, True), ({"HOST": "docsheet.example.org"}, True),
        ({"HOST": "0.0.0.0", "AUTH": "off"}, False), ({"AUTH": "on"}, True),
        ({"HOST": "0.0.0.0", "AUTH": ""}, True),
    ],
)  # fmt: skip
def test_accounts_are_on_where_others_can_reach_the_server(
    monkeypatch: pytest.MonkeyPatch, chosen: dict[str, str], on: bool
) -> None:
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    assert read_settings().has_accounts is on


def test_the_secret_key_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "hush" * 7)
    with pytest.raises(SettingError, match="at least 32 characters") as caught:
        read_settings()
    assert "hush" not in str(caught.value)
    monkeypatch.setenv("SECRET_KEY", "hush" * 8)
    assert "hush" not in repr(read_settings())
