"""A server of some models, on either kind of MongoDB: a replica set, and a single server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from tests.support.faulty import running_mongod
from tests.support.server import LiveServer

PACKAGE = "models_of_test"
STANDALONE = "standalone"
EITHER = ("replica set", STANDALONE)  # the parameters of a fixture
Served = tuple[httpx.Client, Any]  # a client of the server, and its database


def serve_on_either(
    request: pytest.FixtureRequest, folder: Path, models: str, **settings: object
) -> Iterator[Served]:
    """A server of these models on the kind of MongoDB that the fixture's parameter names."""
    (folder / PACKAGE).mkdir()
    (folder / PACKAGE / "__init__.py").write_text(models)
    if request.param == STANDALONE:
        with running_mongod(folder / "data") as uri:
            yield from _serve(folder, uri, settings)
    else:
        yield from _serve(folder, request.getfixturevalue("mongo_uri"), settings)


def _serve(folder: Path, uri: str, settings: dict[str, object]) -> Iterator[Served]:
    name = folder.name  # of the database
    with (
        MongoClient[dict[str, Any]](uri) as client,
        LiveServer(folder, MONGO_URI=uri, DB_NAME=name, MODELS=PACKAGE, **settings) as live,
        httpx.Client(base_url=live.address, timeout=60) as http,
    ):
        yield http, client[name]
