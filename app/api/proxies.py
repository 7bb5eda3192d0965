"""Where a request comes from: the client's address, and the proxies that are believed about it.

A proxy says who it asks for in `X-Forwarded-For`, `-Proto` and `-Host`, and so can any client: only
what comes from an address of TRUSTED_PROXIES counts.
"""

import ipaddress
from collections.abc import Iterable, Sequence

from starlette.types import Scope

FOR, PROTO, HOST = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"
MAPPED = "::ffff:"  # how a socket for IPv4 and IPv6 writes an IPv4 address
_SCHEMES = {"http": "ws", "https": "wss"}
_NEIGHBOURS = 64  # bits of an IPv6 address that are one customer's (RFC 6177)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_address(scope: Scope) -> str:
    """The address that a request comes from, empty where it is not known.

    For the log, for what is counted by address, and for the audit.
    """
    client = scope.get("client")
    return client[0].removeprefix(MAPPED) if client else ""


def network_of(address: str) -> str:
    """What stands for a client where something is counted: its address, of IPv6 the /64 network.

    Whoever has one address of such a network has all of them.
    """
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address.partition("%")[0], _NEIGHBOURS), strict=False))


class Proxies:
    """The proxies that are believed: addresses and networks, as `10.0.0.0/8`."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(one, strict=False) for one in trusted]

    def __bool__(self) -> bool:
        """Whether any proxy is believed."""
        return bool(self._networks)

    def believe(self, scope: Scope) -> None:
        """Puts what a trusted proxy says into the scope: the client, the scheme, the host."""
        if not self._trusts(_read_address(client_address(scope))):
            return
        said = _collect(scope["headers"])
        if FOR in said and (client := self._find_client(said[FOR])):
            scope["client"] = (client, 0)
        if scheme := _read_scheme(said.get(PROTO, ()), scope["type"]):
            scope["scheme"] = scheme
        if HOST in said:
            others = [pair for pair in scope["headers"] if pair[0] != b"host"]
            scope["headers"] = [*others, (b"host", said[HOST][-1].encode("latin-1"))]

    def _find_client(self, chain: Sequence[str]) -> str:
        """The last address of the chain that is no trusted proxy: each proxy adds whom it sees.

        Empty where it is unreadable. The first of all, where all are trusted.
        """
        found = ""
        for text in reversed(chain):
            address = _read_address(text)
            if address is None:
                return found
            found = str(address)
            if not self._trusts(address):
                return found
        return found

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def _collect(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, list[str]]:
    """The values of the headers that proxies send, those of one name in their order."""
    said: dict[bytes, list[str]] = {}
    for name, value in headers:
        if name in (FOR, PROTO, HOST):
            parts = value.decode("latin-1").split(",")
            said.setdefault(name, []).extend(part.strip() for part in parts)
    return said


def _read_address(text: str) -> Address | None:
    """`192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1` or `[2001:db8::1]:4711`; None for all else."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _read_scheme(values: Sequence[str], kind: str) -> str:
    """The scheme of the request that the nearest proxy got; empty where it says none."""
    scheme = values[-1].lower() if values else ""
    if scheme not in _SCHEMES:
        return ""
    return _SCHEMES[scheme] if kind == "websocket" else scheme
