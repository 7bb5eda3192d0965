"""Every setting, with its unit, default and reason.

A value comes from the environment, else from `.env`, else from here. `docs/operations.md` explains each one.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from app.errors import SettingError

_usable_prefix = re.compile(r"(/[A-Za-z0-9._~-]+)+").fullmatch
Names = Annotated[tuple[str, ...], NoDecode]  # written with commas


class Settings(BaseSettings):
    """The settings of one server or command; raises `SettingError` through `read_settings`."""

    model_config = SettingsConfigDict(
        env_file=".env",
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
        pattern=r'^[^/\\. "$*<>:|?\x00]+$',
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
        "127.0.0.1", description="The address to listen on; loopback until there are accounts."
    )
    PORT: int = Field(
        8000, ge=0, le=65535, description="The TCP port to listen on; 0: any free one."
    )
    WORKERS: int = Field(1, ge=1, le=64, description="Server processes behind the one port.")
    ALLOWED_HOSTS: Names = Field(
        ("localhost", "127.0.0.1", "::1"),
        description="Host names that a request may ask for, with commas; `*.example.org` takes any below, `*` all.",
    )
    CORS_ORIGINS: Names = Field(
        (), description="Origins whose pages may call, with commas; none by default."
    )

    ROOT_PATH: str = Field(
        "",
        description="The prefix that a proxy takes off, such as `/api`; our addresses get it back.",
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
        15, gt=0, le=600, description="Seconds that a request waits for a primary."
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
        3600, ge=60, description="Seconds that `GET /exports/{id}` remembers."
    )
    STALL_LIMIT_SECONDS: float = Field(
        60,
        gt=0,
        le=3600,
        description="Seconds without taking a byte after which a download is cut off.",
    )
    SHUTDOWN_GRACE_SECONDS: int = Field(
        8, ge=0, le=600, description="Seconds that SIGTERM leaves to open requests."
    )

    EMBEDDED_CACHE_MIB: int = Field(
        256, ge=256, description="MiB of cache that the embedded mongod may use."
    )
    EMBEDDED_SNAPSHOT_SECONDS: int = Field(
        1800,
        ge=0,
        description="Seconds that the embedded mongod keeps the picture that an export reads.",
    )

    @field_validator("ALLOWED_HOSTS", "CORS_ORIGINS", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("ROOT_PATH")
    @classmethod
    def _root_path(cls, value: str) -> str:
        value = value.rstrip("/")
        if value and not _usable_prefix(value):
            raise ValueError(f"{value!r} is no path; one looks like /api")
        return value

    @field_validator("MONGO_URI")
    @classmethod
    def _uri(cls, value: str) -> str:
        if value and not value.startswith(("mongodb://", "mongodb+srv://")):
            raise ValueError("it must begin with mongodb:// or mongodb+srv://")
        if value.startswith(
            "mongodb://"
        ):  # the other asks the DNS, which may come up later than we do
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


def _check_uri(value: str) -> None:
    try:
        parse_uri(value)
    except (PyMongoError, ValueError) as error:
        raise ValueError(str(error).rstrip(".")) from None


def read_settings(**chosen: Any) -> Settings:
    """The settings as environment and `.env` give them, but for those that the command line chose.

    Raises `SettingError` that names the wrong ones.
    """
    try:
        return Settings(**chosen)
    except ValidationError as error:
        raise SettingError(_sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    parts = []
    for fault in error.errors(include_url=False, include_input=False):
        name = str(fault["loc"][0]).upper() if fault["loc"] else "?"
        known = fault["type"] != "extra_forbidden"
        what = fault["msg"].removeprefix("Value error, ")
        parts.append(
            f"{name}: {what}" if known else f"{name}: .env has it, but there is no such setting"
        )
    return "Settings can't be used: " + "; ".join(parts) + "."
