"""Exports that take their time: a server on large users, clients that read little at a time."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.support.processes import children
from tests.support.server import LiveServer
from tests.support.waiting import wait_for

BIG = "big"  # the database whose users give files that no pipe and no socket can hold
ORIGIN = "https://app.example.org"


def serving(uri: str, *, spawn: bool = False, **settings: object) -> LiveServer:
    """A server on the big collection, with every middleware."""
    return LiveServer(spawn=spawn, MONGO_URI=uri, DB_NAME=BIG, CORS_ORIGINS=ORIGIN, **settings)


def slow_client(address: str) -> httpx.Client:
    """A client with little room, without compression: what it does not read waits at the server."""
    room = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)]
    return httpx.Client(
        base_url=address,
        timeout=60,
        headers={"Accept-Encoding": "identity", "Origin": ORIGIN},
        transport=httpx.HTTPTransport(
            socket_options=room, limits=httpx.Limits(max_connections=100)
        ),
    )


@contextmanager
def download(http: httpx.Client, path: str) -> Iterator[httpx.Response]:
    """An export of users that has begun."""
    with http.stream("GET", f"/users/export/{path}") as answer:
        answer.raise_for_status()
        yield answer


def record(http: httpx.Client, answer: httpx.Response) -> dict[str, Any]:
    """The record of an export, once it says how that ended."""
    found: dict[str, Any] = {}

    def has_ended() -> bool:
        found.update(http.get(f"/exports/{answer.headers['x-export-id']}").json())
        return found.get("state", "running") != "running"

    wait_for(has_ended, otherwise=f"its end is not recorded: {found}")
    return found


def export_processes(server: LiveServer) -> list[int]:
    """The processes of exports: children of the fork server, which is a child of the server."""
    return [pid for parent in children(server.process.pid) for pid in children(parent)]
