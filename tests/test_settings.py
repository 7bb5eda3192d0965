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
        ("PORT", "abc"), ("PORT", "70000"), ("PORT", "-1"), ("BODY_LIMIT_MIB", "17"), ("BODY_LIMIT_MIB", "nan"),
        ("BODY_LIMIT_MIB", "0"), ("QUERY_TIME_LIMIT_SECONDS", "-1"), ("QUERY_TIME_LIMIT_SECONDS", "inf"),
        ("DB_NAME", "a/b"), ("DB_NAME", "x" * 64), ("CORS_ORIGINS", "example.org"), ("CORS_ORIGINS", "https://a/b"),
        ("MONGO_URI", "http://x"), ("MONGO_URI", "mongodb://"), ("MONGO_URI", "mongodb://h:99999"),
        ("MONGO_URI", "mongodb://u:p%zz@h"), ("EXPORT_READ_PREFERENCE", "fastest"), ("SEARCHES_AT_ONCE", "0"),
        ("EXPORTS_AT_ONCE", "1.5"), ("WORKERS", "0"), ("EMBEDDED_CACHE_MIB", "1"),
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


def test_unknown_name_in_the_file_is_named() -> None:
    Path(".env").write_text("PROT=8000\n")
    with pytest.raises(SettingError, match=r"PROT: \.env has it, but there is no such setting"):
        read_settings()


def test_secret_of_the_uri_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGO_URI", "mongodb://user:hush@host:port/")
    with pytest.raises(SettingError) as caught:
        read_settings()
    assert "hush" not in str(caught.value)


def test_environment_wins_over_the_file_and_empty_is_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text("PORT=1\nDB_NAME=file\nMONGO_URI=\nALLOWED_HOSTS= a , b ,\n")
    monkeypatch.setenv("PORT", "2")
    settings = read_settings()
    assert (settings.PORT, settings.DB_NAME, settings.MONGO_URI) == (2, "file", "")
    assert settings.ALLOWED_HOSTS == ("a", "b")


def test_committed_file_holds_the_defaults_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    assert read_settings() == Settings(_env_file=None)  # type: ignore[call-arg]


def test_every_setting_says_what_it_is() -> None:
    assert all(info.description for info in Settings.model_fields.values())
