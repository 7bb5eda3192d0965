"""What `docsheet doctor` asks, and what its steps find."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal
from urllib.parse import quote

from pymongo import MongoClient
from pymongo.database import Database

from app.resources.registry import Resource
from app.settings import Settings
from app.store.client import client_options

ANSWER_MS = 3_000  # that a node has to answer

State = Literal["ok", "fails", "open", "not permitted", "skipped"]


@dataclass(frozen=True)
class Finding:
    """What one step found; `fix` is the line that fixes it where it fails, or closes it."""

    state: State
    detail: str
    fix: str = ""


@dataclass
class Case:
    """The MongoDB that is asked, and what is known of it so far."""

    settings: Settings
    uri: str
    parsed: dict[str, Any] = field(default_factory=dict)
    # host:port → what that node says of itself
    hellos: dict[str, dict[str, Any]] = field(default_factory=dict)
    is_named: bool = False  # the set has the name that MONGO_URI gives it
    is_let_in: bool = False
    resources: tuple[Resource, ...] | None = None  # none where the models can't be read

    @property
    def hosts(self) -> list[str]:
        """The nodes that MONGO_URI names."""
        return [_address(host, port) for host, port in self.parsed["nodelist"]]

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that MONGO_URI has behind its `?`."""
        options: Mapping[str, Any] = self.parsed["options"]
        return options

    @property
    def is_direct(self) -> bool:
        """Whether only the named node is used, whatever names it gives for the others."""
        return bool(self.options.get("directConnection"))

    @property
    def known(self) -> dict[str, Any]:
        """What a member of the set says, the primary before others; empty where none answers."""
        return min(
            self.hellos.values(), key=lambda hello: not hello.get("isWritablePrimary"), default={}
        )

    @property
    def has_primary(self) -> bool:
        """Whether a node says that it takes writes."""
        return bool(self.known.get("isWritablePrimary"))

    @property
    def alive(self) -> int:
        """How many nodes hold data and answer."""
        return sum(map(_holds_data, self.hellos.values()))

    @property
    def members(self) -> list[str]:
        """The members as the set itself names them."""
        return [*self.known.get("hosts", ()), *self.known.get("passives", ())]

    @cached_property
    def client(self) -> "MongoClient[dict[str, Any]]":
        """As the server connects, but less patient."""
        options = {**client_options(self.settings), "serverSelectionTimeoutMS": ANSWER_MS}
        return MongoClient(self.uri, **options)

    @property
    def database(self) -> "Database[dict[str, Any]]":
        """The database of DB_NAME."""
        return self.client[self.settings.DB_NAME]

    def ask_node(self, address: str) -> dict[str, Any]:
        """What one node says of itself, to whom it hasn't let in; raises `PyMongoError`."""
        secure = {
            name: value
            for name, value in self.options.items()
            if name.lower().startswith(("tls", "ssl"))
        }
        options = {**secure, "directConnection": True, "serverSelectionTimeoutMS": ANSWER_MS}
        host = quote(address, safe="") if address.startswith("/") else address
        with MongoClient[dict[str, Any]](f"mongodb://{host}", **options) as client:
            return client.admin.command("hello")


def _address(host: str, port: int | None) -> str:
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _holds_data(hello: Mapping[str, Any]) -> bool:
    return bool(hello.get("isWritablePrimary") or hello.get("secondary"))
