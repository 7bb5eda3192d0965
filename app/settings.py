"""Every setting, with its unit, default and reason.

A value comes from the environment, else from `.env`, else from here. `docs/operations.md` explains
each one.
"""

import io
import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv.parser import parse_stream
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from app.errors import SettingError
from app.spelling import suggest_nearest

_usable_prefix = re.compile(r"(/[A-Za-z0-9._~-]+)+").fullmatch
_usable_rate = re.compile(r"[1-9]\d{0,8}/(second|minute|hour|day)").fullmatch
ENV_FILE = ".env"
OF_COMPOSE = ("DOCSHEET_", "COMPOSE_")  # names in .env that are for `docker compose` alone
MIN_SECRET = 32  # characters of SECRET_KEY, at least (RFC 7518, 3.2)
NOT_IN_NAMES = frozenset('/\\. "$*<>:|?\0')  # of databases, on any system
MAX_SECONDS = 2**31 - 1  # that MongoDB takes
OF_MONGODB = ("admin", "config", "local")  # databases
Names = Annotated[tuple[str, ...], NoDecode]  # written with commas


class Settings(BaseSettings):
    """The settings of one server or command; raises `SettingError` through `read_settings`."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
    )

    MONGO_URI: str = Field(
        "", description="The MongoDB to use; empty: an embedded mongod is started."
    )
    DB_NAME: str = Field(
        "docsheet",
        min_length=1,
        max_length=63,
        description="The database's name.",
    )
    MODELS: str = Field(
        "models", description="The Python package whose document classes become resources."
    )
    ROUTES: str = Field(
        "", description="A Python package whose modules' `router: APIRouter` are served as well."
    )
    DATA_DIR: Path = Field(Path("data"), description="The folder of the embedded database's files.")
    HOST: str = Field(
        "127.0.0.1",
        description="The address to listen on; before another than loopback: docs/network.md.",
    )
    AUTH: Literal["on", "off", ""] = Field(
        "",
        description=(
            "`on`: every caller needs an account; `off`: nobody does; empty: `off` where HOST is a "
            "loopback address, else `on`."
        ),
    )
    SECRET_KEY: str = Field(
        "",
        repr=False,
        description=(
            "What signs access tokens, at least 32 characters; empty: made once, and kept in the "
            "database for all servers."
        ),
    )
    AUDIT_DAYS: int = Field(
        365,
        ge=1,
        le=MAX_SECONDS // (24 * 3600),
        description="Days that `/auth/audit/` remembers what happened.",
    )
    PORT: int = Field(
        8000, ge=0, le=65535, description="The TCP port to listen on; 0: any free one."
    )
    WORKERS: int = Field(1, ge=1, le=64, description="Server processes behind the one port.")
    ALLOWED_HOSTS: Names = Field(
        ("localhost", "127.0.0.1", "::1"),
        description=(
            "Host names that a request may ask for, with commas; `*.example.org` takes any "
            "below, `*` all."
        ),
    )
    CORS_ORIGINS: Names = Field(
        (), description="Origins whose pages may call, with commas; none by default."
    )

    ROOT_PATH: str = Field(
        "",
        description="The prefix that a proxy takes off, such as `/api`; our addresses get it back.",
    )
    TRUSTED_PROXIES: Names = Field(
        (),
        description=(
            "Addresses and networks of proxies whose `X-Forwarded-For`, `-Proto` and `-Host` are "
            "believed, with commas; nobody's by default."
        ),
    )
    RATE_LIMIT: str = Field(
        "",
        description=(
            "Requests that each caller may make in a time, as `600/minute` (second, minute, hour "
            "or day); past them 429. Empty: no limit."
        ),
    )
    DOCS: Literal["on", "signed-in", "off"] = Field(
        "on",
        description=(
            "Who sees `/docs`, `/redoc` and `/openapi.json`: everyone, those with an account, or "
            "nobody (404)."
        ),
    )

    METRICS: Literal["on", "off"] = Field(
        "off",
        description=(
            "`on`: `GET /metrics` has numbers for Prometheus; with accounts, for the scope "
            "`metrics`."
        ),
    )

    LOG_FORMAT: Literal["text", "json"] = Field(
        "text", description="How a line of the log is written; `json`: an object for each."
    )
    LOG_LEVEL: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least that is logged; requests are `info`."
    )
    LOG_FILE: str = Field("", description="The file of the log; empty: standard error.")
    LOG_FILE_MIB: float = Field(
        10,
        gt=0,
        le=10_000,
        description="MiB that the log's file may have before another one is begun, as at midnight.",
    )
    LOG_FILE_KEEP: int = Field(
        7, ge=1, le=1000, description="Older files of the log that are kept."
    )

    BODY_LIMIT_MIB: float = Field(2, gt=0, le=16, description="MiB that a JSON body may have.")
    QUERY_TIME_LIMIT_SECONDS: float = Field(
        10, gt=0, le=3600, description="Seconds of the database's work a query."
    )
    COUNT_TIME_LIMIT_SECONDS: float = Field(
        1,
        gt=0,
        le=3600,
        description="Seconds of the database's work for counting; past them the list has no count.",
    )
    PRIMARY_WAIT_SECONDS: float = Field(
        15,
        gt=0,
        le=600,
        description="Seconds that a request waits for a primary, and that a write may take in all.",
    )
    SEARCHES_AT_ONCE: int = Field(
        2,
        ge=1,
        le=1000,
        description="Regular expressions that the database works on side by side, per process.",
    )
    DATABASE_CALLS_AT_ONCE: int = Field(
        32,
        ge=2,
        le=1000,
        description="Calls to the database side by side, per process (threads and connections).",
    )

    EXPORTS_AT_ONCE: int = Field(4, ge=1, le=1000, description="Exports side by side, per process.")
    EXPORT_WAIT_SECONDS: float = Field(
        5, ge=0, le=600, description="Seconds that an export waits for its turn."
    )
    EXPORT_READ_PREFERENCE: Literal[
        "primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest"
    ] = Field("primaryPreferred", description="Which member of the replica set exports read from.")
    EXPORT_RECORD_SECONDS: int = Field(
        3600,
        ge=60,
        le=MAX_SECONDS,
        description="Seconds that `GET /exports/{id}` remembers.",
    )
    STALL_LIMIT_SECONDS: float = Field(
        60,
        gt=0,
        le=3600,
        description="Seconds without taking a byte after which a download is cut off.",
    )
    IMPORT_LIMIT_MIB: int = Field(
        1024, ge=1, le=1024 * 1024, description="MiB that an uploaded file may have."
    )
    IMPORT_ROWS: int = Field(
        2_000_000, ge=1, le=4_000_000_000, description="Rows that one import may have."
    )
    IMPORTS_AT_ONCE: int = Field(2, ge=1, le=1000, description="Imports side by side, per process.")
    UPLOAD_SECONDS: int = Field(
        6 * 3600,
        ge=60,
        le=30 * 24 * 3600,
        description="Seconds that a file of the page's import is kept in the database.",
    )
    SHUTDOWN_GRACE_SECONDS: int = Field(
        8, ge=0, le=600, description="Seconds that SIGTERM leaves to open requests."
    )

    EMBEDDED_CACHE_MIB: int = Field(
        256,
        ge=256,
        le=10_000 * 1024,
        description="MiB of cache that the embedded mongod may use.",
    )
    EMBEDDED_SNAPSHOT_SECONDS: int = Field(
        1800,
        ge=0,
        le=MAX_SECONDS,
        description="Seconds that the embedded mongod keeps the snapshot that an export reads.",
    )

    @property
    def body_limit(self) -> int:
        """Bytes that a JSON body may have."""
        return int(self.BODY_LIMIT_MIB * 1024 * 1024)

    @property
    def has_accounts(self) -> bool:
        """Whether callers need an account."""
        return self.AUTH == "on" or (not self.AUTH and not is_loopback(self.HOST))

    @field_validator("SECRET_KEY")
    @classmethod
    def _secret_key(cls, value: str) -> str:
        if 0 < len(value) < MIN_SECRET:
            raise ValueError(
                f"it must have at least {MIN_SECRET} characters; python -c 'import secrets; "
                "print(secrets.token_urlsafe(48))' makes one"
            )
        return value

    @field_validator("AUTH", "DOCS", "LOG_FORMAT", "LOG_LEVEL", "METRICS", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("RATE_LIMIT")
    @classmethod
    def _rate(cls, value: str) -> str:
        if value and not _usable_rate(value):
            raise ValueError(f"{value!r} is no rate; one looks like 600/minute")
        return value

    @field_validator("TRUSTED_PROXIES")
    @classmethod
    def _proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            try:
                ipaddress.ip_network(one, strict=False)
            except ValueError:
                raise ValueError(
                    f"{one!r} is no address and no network; they look like 10.0.0.5 and 10.0.0.0/8"
                ) from None
        return value

    @field_validator("ALLOWED_HOSTS", "CORS_ORIGINS", "TRUSTED_PROXIES", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("ALLOWED_HOSTS")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = tuple(name.removeprefix("[").removesuffix("]") for name in value)
        for name in names:
            if "/" in name or "]" in name or name.count(":") == 1:
                raise ValueError(
                    f"{name!r} is no host name; one looks like docs.example.org, without a port"
                )
        if not names:
            raise ValueError("it names no host, so that no request could be answered")
        return names

    @field_validator("ROOT_PATH")
    @classmethod
    def _root_path(cls, value: str) -> str:
        value = value.rstrip("/")
        if value and not _usable_prefix(value):
            raise ValueError(f"{value!r} is no path; one looks like /api")
        return value

    @model_validator(mode="before")
    @classmethod
    def _skip_those_of_compose(cls, values: Any) -> Any:
        """Drops what `.env` has for Compose, which reads the same file."""
        return {
            name: value for name, value in values.items() if not name.upper().startswith(OF_COMPOSE)
        }

    @field_validator("DB_NAME")
    @classmethod
    def _name(cls, value: str) -> str:
        odd = [character for character in value if character in NOT_IN_NAMES]
        if odd:
            what = "a space" if odd[0] == " " else repr(odd[0])
            raise ValueError(f"{value!r} has {what}; letters, digits, - and _ are fine")
        if value in OF_MONGODB:
            raise ValueError(f"{value!r} is MongoDB's own; choose another name")
        return value

    @field_validator("MONGO_URI")
    @classmethod
    def _uri(cls, value: str) -> str:
        if value and not value.startswith(("mongodb://", "mongodb+srv://")):
            raise ValueError("it must begin with mongodb:// or mongodb+srv://")
        if value:
            _check_uri(value)
        return value

    @field_validator("CORS_ORIGINS")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if origin != "*" and not (
                origin.startswith(("http://", "https://")) and origin.count("/") == 2
            ):
                raise ValueError(f"{origin!r} is no origin; one looks like https://app.example.org")
        return value


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _check_uri(value: str) -> None:
    """Raises `ValueError` for what the driver or this program can't work with; asks no server."""
    if re.search(r"[?&]w=0(&|$)", value, re.IGNORECASE):
        raise ValueError("w=0 leaves every write unconfirmed; remove it")
    if value.startswith("mongodb+srv://"):  # asks the DNS, which may come up later than we do
        return
    try:
        parse_uri(value)
        MongoClient[Any](value, connect=False).close()
    except OSError as error:  # before ValueError: ssl's own are both
        reason = str(error).removeprefix("The ").rstrip(".")
        raise ValueError(f"a file for TLS can't be read or used ({reason})") from None
    except (PyMongoError, ValueError) as error:
        reason = str(error).rstrip(".")
        if reason == "A password is required":
            reason = "it names a user without a password; write user:password@host"
        raise ValueError(reason) from None


def read_settings(**chosen: Any) -> Settings:
    """The settings as environment and `.env` give them, but for those that the command line chose.

    Raises `SettingError` that names the wrong ones.
    """
    _check_file(Path(ENV_FILE))
    try:
        return Settings(**chosen)
    except ValidationError as error:
        raise SettingError(_describe(error)) from None


def _check_file(path: Path) -> None:
    """Raises `SettingError` for a file that can't be read, and for a line that sets nothing."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise SettingError(f"{path} can't be read ({error}): it must be UTF-8 text.") from None
    for line in parse_stream(io.StringIO(text)):
        if line.error or (line.key is not None and line.value is None):
            shown = line.original.string.strip()
            raise SettingError(
                f"{path}, line {line.original.line}: {_hide(shown)} sets nothing; a line is "
                f"NAME=value.{_suggest(shown)}"
            )


def _suggest(line: str) -> str:
    """` Did you mean 'PORT=1'?` for a line such as `PORT: 1`."""
    name, _, value = line.partition(":")
    known = name.strip().upper() in Settings.model_fields
    return f" Did you mean {_hide(f'{name.strip()}={value.strip()}')}?" if known else ""


def _hide(line: str) -> str:
    """The line, or only its beginning where it may hold a password."""
    return repr(line) if "://" not in line else repr(line.partition("://")[0] + "://…")


def _describe(error: ValidationError) -> str:
    parts = []
    for fault in error.errors(include_url=False, include_input=False):
        name = str(fault["loc"][0]).upper() if fault["loc"] else "?"
        if fault["type"] == "extra_forbidden":
            near = suggest_nearest(name, Settings.model_fields)
            what = f"{ENV_FILE} has it, but there is no such setting.{near}"
        else:
            what = fault["msg"].removeprefix("Value error, ")
        parts.append(f"{name}: {what.rstrip('.')}")
    sentence = "Settings can't be used: " + "; ".join(parts)
    return sentence if sentence.endswith("?") else sentence + "."
