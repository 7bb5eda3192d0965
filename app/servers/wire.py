"""One command to a mongod, as OP_MSG over a socket of its own.

https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/. PyMongo's own polling would
take half a second longer until a fresh mongod is noticed.
"""

import socket
import struct
from itertools import count
from typing import Any

import bson

ANSWER_SECONDS = 2.0  # for one command
_OP_MSG = 2013
_LENGTH = 4  # bytes of a message's length, with which it begins
_head = struct.Struct("<iiiiIB")  # length, request, response, opcode; flags; the kind of section
_numbers = count(1)  # of requests

Document = dict[str, Any]


def ask(address: str, command: Document, timeout: float = ANSWER_SECONDS) -> Document:
    """What the mongod at a socket's path or `host:port` answers to one command, `ok` or not.

    Raises OSError.
    """
    message = bson.encode({**command, "$db": command.get("$db", "admin")})  # the name comes first
    with _connect(address, timeout) as connection:
        connection.sendall(
            _head.pack(_head.size + len(message), next(_numbers), 0, _OP_MSG, 0, 0) + message
        )
        (length,) = struct.unpack("<i", _receive(connection, _LENGTH))
        return bson.decode(_receive(connection, length - _LENGTH)[_head.size - _LENGTH :])


def hello(address: str, timeout: float = ANSWER_SECONDS) -> Document | None:
    """The answer to `hello`, or None when nothing answers."""
    try:
        return ask(address, {"hello": 1}, timeout)
    except OSError:
        return None


def _connect(address: str, timeout: float) -> socket.socket:
    if not address.startswith("/"):
        host, _, port = address.rpartition(":")
        return socket.create_connection((host, int(port)), timeout)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def _receive(connection: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = connection.recv(length - len(parts))
        if not part:
            raise ConnectionError("mongod closed the connection")
        parts += part
    return bytes(parts)
