"""The steps of `docsheet doctor`, each a function that comes back with a `Finding`."""

import socket
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.errors import (
    ConfigurationError,
    ExecutionTimeout,
    InvalidURI,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.uri_parser import parse_uri

from app.commands import doctor_exposure as exposure
from app.commands.doctor_case import Case, Finding
from app.errors import DeclarationError
from app.resources.notes import describe_unserved
from app.resources.registry import Resource, discover
from app.store.codes import Code
from app.store.dangling import count_dangling
from app.store.indexes import find_equal_values, serves

CLOCK_SECONDS = 5.0  # that two clocks may differ
LAG_SECONDS = 10.0  # that the majority may be behind the primary
OLDEST = (5, 0)  # the first MongoDB with snapshot reads
LINKS_MS = 30_000  # that counting the links of one field may take
SHORT_WINDOW = 300  # seconds, MongoDB's own default
MAX_SHOWN = 60  # characters that are shown of a stored value

_WITHOUT_INDEXES: dict[int, str] = {
    Code.Unauthorized: "not permitted",
    Code.NamespaceNotFound: "not made yet (the server does at its start)",
    Code.CommandNotSupportedOnView: "a view, which has none,",
}
_BAD_LOGIN = (Code.AuthenticationFailed, Code.AtlasError)


def _models(case: Case) -> Finding:
    try:
        case.resources = tuple(discover(case.settings.MODELS).values())
        notes = describe_unserved(case.settings.MODELS)
    except DeclarationError as error:
        return Finding("fails", str(error), "correct that line; docs/models.md says what works.")
    names = ", ".join(resource.address for resource in case.resources) or "none"
    return Finding("ok", "; ".join([f"resources: {names}", *notes]))


def _uri(case: Case) -> Finding:
    try:
        case.parsed = dict(parse_uri(case.uri, validate=True, warn=False))
    except (InvalidURI, ConfigurationError, ValueError) as error:
        return Finding(
            "fails",
            first_line(error),
            "MONGO_URI looks like "
            "mongodb://user:password@host1:27017,host2:27017/?replicaSet=rs0&authSource=admin, "
            "with @ : / % in a password percent-encoded.",
        )
    return Finding("ok", f"names {', '.join(case.hosts)}")


def _names(case: Case) -> Finding:
    lost = _find_unresolved(case.hosts)
    if not lost:
        return Finding("ok", "every name in MONGO_URI resolves")
    return Finding(
        "fails",
        f"no address is known for {', '.join(lost)}",
        f"correct the name in MONGO_URI, or make {lost[0]} known to this machine (DNS, /etc/hosts; "
        "a compose service's name is known within its network only).",
    )


def _ports(case: Case) -> Finding:
    silent = {}
    for address in case.hosts:
        try:
            case.hellos[address] = case.ask_node(address)
        except PyMongoError as error:
            silent[address] = _reason(error)
    if not silent:
        return Finding("ok", "every node in MONGO_URI answers")
    address = next(iter(silent))
    listed = ", ".join(f"{address} ({reason})" for address, reason in silent.items())
    found = f"no MongoDB answers at {listed}"
    if case.hellos:
        return Finding(
            "fails",
            f"{found}; others do",
            f"start the node {address}; until then the set lives on less.",
        )
    return Finding(
        "fails",
        found,
        f"start mongod at {address}, or correct host and port in MONGO_URI; a firewall may be "
        "between.",
    )


def _set_name(case: Case) -> Finding:
    wanted, known = case.options.get("replicaSet"), case.known.get("setName")
    if case.known.get("msg") == "isdbgrid":
        case.is_named = True
        return Finding("ok", "a sharded cluster (mongos) has no name")
    if known is None and case.known.get("isreplicaset"):
        return Finding(
            "fails",
            "the node belongs to no set yet",
            "initiate it once: mongosh --eval 'rs.initiate()'.",
        )
    if known is None:
        fix = (
            "start mongod with --replSet rs0 and initiate it once: a lone server has no "
            "transactions or snapshots."
        )
        return Finding("fails", "a server on its own, no replica set", fix)
    if wanted not in (None, known):
        return Finding(
            "fails",
            f"MONGO_URI wants the set {wanted!r}; this one is named {known!r}",
            f"write replicaSet={known} into MONGO_URI.",
        )
    case.is_named = True
    return Finding("ok", str(known))


def _member_names(case: Case) -> Finding:
    if case.is_direct or not case.members:
        return Finding("ok", "not used (directConnection)" if case.is_direct else "there are none")
    lost = _find_unresolved(case.members)
    if lost:
        return Finding(
            "fails",
            f"the set names its members {', '.join(case.members)}; no address is known here "
            f"for {', '.join(lost)}",
            f"make {lost[0].rpartition(':')[0]} known to this machine (DNS, /etc/hosts), run where "
            "it is, or use one node alone with directConnection=true.",
        )
    silent = []
    for address in case.members:
        if address not in case.hellos:
            try:
                case.hellos[address] = case.ask_node(address)
            except PyMongoError:
                silent.append(address)
    if silent:
        fix = f"start the node {silent[0]}, or open the way to it from here."
        return Finding("fails", f"the members {', '.join(silent)} do not answer from here", fix)
    return Finding("ok", f"{', '.join(case.members)} answer from here")


def _primary(case: Case) -> Finding:
    for address, hello in case.hellos.items():
        if hello.get("isWritablePrimary"):
            return Finding("ok", address)
    total = len(case.members) or len(case.hosts)
    return Finding(
        "fails",
        f"no node takes writes; {case.alive} of {total} answer",
        f"start nodes until more than half of {total} are up; an election then takes some 12 "
        "seconds.",
    )


def _credentials(case: Case) -> Finding:
    user = case.parsed.get("username")
    try:
        case.client[case.settings.DB_NAME].command("listCollections", nameOnly=True)
    except OperationFailure as error:
        refusal = _explain_login(case, user, error.code)
        if refusal is None:
            raise
        return refusal
    except ServerSelectionTimeoutError as error:
        return Finding(
            "fails", first_line(error), "the steps after this one say why no node can be chosen."
        )
    case.is_let_in = True
    return Finding("ok", f"{user!r} is let in" if user else "none wanted")


def _explain_login(case: Case, user: str | None, code: int | None) -> Finding | None:
    """Why the user is not let in; None where it is another error."""
    if code in _BAD_LOGIN:
        options = case.options
        where = (
            options.get("authSource") or options.get("authsource") or case.parsed.get("database")
        )
        return Finding(
            "fails",
            f"{user!r} is not let in (its users are looked up in {where or 'admin'!r})",
            "correct user and password in MONGO_URI; a user made in admin needs "
            "authSource=admin, and @ : / % in the password must be percent-encoded.",
        )
    if code != Code.Unauthorized:
        return None
    if not user:
        return Finding(
            "fails",
            "MONGO_URI names no user, and this server wants one",
            "write mongodb://user:password@… into MONGO_URI, with authSource=admin.",
        )
    name = case.settings.DB_NAME
    role = f"[{{role: 'readWrite', db: '{name}'}}]"
    fix = f"give it some: db.getSiblingDB('admin').grantRolesToUser('{user}', {role})"
    return Finding("fails", f"{user!r} has no rights on the database {name!r}", fix)


def _majority(case: Case) -> Finding:
    if not case.members:
        return Finding("ok", "not a replica set")
    if not case.is_direct and case.alive * 2 <= len(case.members):
        fix = "start more of the nodes: a write is confirmed only by more than half of them."
        return Finding("fails", f"{case.alive} of {len(case.members)} hold data and answer", fix)
    lag = _measure_lag(case.known.get("lastWrite", {}))
    if lag > LAG_SECONDS:
        fix = "look at the secondaries (rs.printSecondaryReplicationInfo()): writes wait for them."
        return Finding("fails", f"the majority is {lag:.0f} s behind the primary", fix)
    return Finding("ok", f"{case.alive} of {len(case.members)} answer, {lag:.0f} s behind")


def _measure_lag(last: Mapping[str, Any]) -> float:
    """Seconds that the majority is behind the primary."""
    if "majorityWriteDate" not in last:
        return 0.0
    lag: timedelta = last["lastWriteDate"] - last["majorityWriteDate"]
    return lag.total_seconds()


def _clock(case: Case) -> Finding:
    began = time.time()
    told: datetime = case.client.admin.command("hello")["localTime"]
    told = told if told.tzinfo else told.replace(tzinfo=UTC)
    apart = told.timestamp() - (began + time.time()) / 2
    if abs(apart) > CLOCK_SECONDS:
        fix = "set both machines' clocks by NTP (timedatectl set-ntp true): records expire by them."
        return Finding("fails", f"the database's is {apart:+.1f} s from this machine's", fix)
    return Finding("ok", f"{abs(apart):.1f} s apart")


def _indexes(case: Case) -> Finding:
    """Each collection by itself: rights that are missing on one say nothing of the others."""
    missing, fixes = [], []
    others: dict[str, list[str]] = {}  # reason → collections
    for resource in case.resources or ():
        collection = case.database[resource.name]
        try:
            lost = _find_missing_indexes(resource, collection)
        except OperationFailure as error:
            reason = _WITHOUT_INDEXES.get(error.code or 0)
            if reason is None:
                raise
            others.setdefault(reason, []).append(resource.name)
            continue
        for model in lost:
            name = f"{resource.name}.{model.document['name']}"
            values = _describe_equal_values(collection, model)
            missing.append(f"{name} ({values})" if values else name)
            fixes.append(
                f"leave one document alone with each of these values in {resource.name!r}; the "
                "server then makes the index by itself."
                if values
                else "start the server, which makes them."
            )
    said = "; ".join(f"{reason} for {', '.join(names)}" for reason, names in others.items())
    if missing:
        rest = f"; {said}" if said else ""
        return Finding("fails", f"missing: {', '.join(missing)}{rest}", fixes[0])
    if _WITHOUT_INDEXES[Code.Unauthorized] in others:
        return Finding("not permitted", said)
    return Finding("ok", said or "all are there")


def _find_missing_indexes(
    resource: Resource, collection: Collection[dict[str, Any]]
) -> list[IndexModel]:
    """The declared indexes that no existing one stands for."""
    existing = collection.index_information()
    if not existing and resource.indexes:  # the driver says nothing of a missing collection
        raise OperationFailure("there is no such collection", Code.NamespaceNotFound)
    return [model for model in resource.indexes if not serves(model, existing)]


def _describe_equal_values(collection: Collection[dict[str, Any]], model: IndexModel) -> str:
    """The first values that keep a unique index from being made; nothing where there are none."""
    if not model.document.get("unique"):
        return ""
    try:
        groups = list(find_equal_values(collection, model))
    except PyMongoError:
        return ""
    shown = [
        " and ".join(f"{path} {_shorten(value)}" for path, value in group.items())
        for group in groups
    ]
    return f"several documents have {', '.join(shown)}" if shown else ""


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _links(case: Case) -> Finding:
    """Links that lead nowhere; where their documents may be deleted all the same, that is fine."""
    resources = {resource.name: resource for resource in case.resources or ()}
    lost, kept, slow = [], [], []
    fix = ""
    for resource in resources.values():
        for link in resource.links:
            field = f"{resource.name}.{link.path}"
            try:
                dangling = count_dangling(case.database, resource, link, LINKS_MS)
            except (ExecutionTimeout, NetworkTimeout):
                slow.append(field)
                continue
            if dangling is None:
                continue
            told = f"{dangling.links:,} in {field} (such as {_shorten(dangling.example)})"
            if resources[link.target.collection].options.on_delete == "keep":
                kept.append(told)
                continue
            lost.append(told)
            fix = fix or (
                f"store the document of {link.target.collection!r} that is missing again, or "
                f"change {link.path!r} in those of {resource.name!r} that link to it."
            )
    said = [f"lead nowhere: {', '.join(lost)}"] if lost else []
    said += [f"lead nowhere, as on_delete = 'keep' allows: {', '.join(kept)}"] if kept else []
    said += [f"not counted within {LINKS_MS // 1000} s: {', '.join(slow)}"] if slow else []
    if lost:
        return Finding("fails", "; ".join(said), fix)
    return Finding("ok", "; ".join(said) or "all lead to a document")


def _versions(case: Case) -> Finding:
    found = case.client.admin.command("buildInfo")
    if tuple(found["versionArray"][:2]) < OLDEST:
        fix = (
            f"upgrade MongoDB to {OLDEST[0]}.{OLDEST[1]} or later, one major version after the "
            "other."
        )
        return Finding("fails", f"MongoDB {found['version']} has no snapshot reads", fix)
    wire = {hello.get("maxWireVersion") for hello in case.hellos.values()}
    mixed = "" if len(wire) < 2 else "; the members run different versions (an upgrade under way?)"
    return Finding("ok", f"MongoDB {found['version']}{mixed}")


def _snapshots(case: Case) -> Finding:
    name = "minSnapshotHistoryWindowInSeconds"
    window = case.client.admin.command({"getParameter": 1, name: 1})[name]
    short = f"; with slow readers of large exports, start mongod with --setParameter {name}=1800"
    return Finding(
        "ok", f"an export may read for {window} s{short if window <= SHORT_WINDOW else ''}"
    )


def _find_unresolved(addresses: list[str]) -> list[str]:
    lost = []
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not address.startswith("/") and not address.endswith(".sock"):
            try:
                socket.getaddrinfo(host.strip("[]"), int(port))
            except (OSError, UnicodeError):  # a part is empty, or longer than 63 characters
                lost.append(address)
    return lost


def _reason(error: PyMongoError) -> str:
    text = first_line(error)
    for word in ("refused", "timed out", "Name or service not known", "SSL", "No such file"):
        if word in text:
            return {"refused": "connection refused", "SSL": "TLS fails"}.get(word, word.lower())
    return text[:100]


def first_line(error: Exception) -> str:
    """What an error says, without the driver's own settings."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].partition(" (configured timeouts")[0]


Step = Callable[[Case], Finding]
# The name of each step, the step, and whether it can be asked yet.
STEPS: tuple[tuple[str, Step, Callable[[Case], bool]], ...] = (
    ("models", _models, lambda case: True),
    ("MONGO_URI", _uri, lambda case: True),
    ("names", _names, lambda case: bool(case.parsed)),
    ("ports", _ports, lambda case: bool(case.parsed)),
    ("set's name", _set_name, lambda case: bool(case.hellos)),
    ("members' names", _member_names, lambda case: bool(case.hellos)),
    ("primary", _primary, lambda case: bool(case.hellos)),
    ("credentials", _credentials, lambda case: case.is_named and case.has_primary),
    ("majority", _majority, lambda case: bool(case.hellos)),
    ("clocks", _clock, lambda case: case.is_let_in),
    ("indexes", _indexes, lambda case: case.is_let_in and case.resources is not None),
    ("links", _links, lambda case: case.is_let_in and case.resources is not None),
    ("version", _versions, lambda case: case.is_let_in),
    ("snapshots", _snapshots, lambda case: case.is_let_in),
    ("callers", exposure.examine_callers, lambda case: True),
    ("https", exposure.examine_https, lambda case: True),
    ("password", exposure.examine_password, lambda case: bool(case.parsed)),
    ("accounts", exposure.examine_accounts, lambda case: case.is_let_in),
    ("roles", exposure.examine_roles, lambda case: case.is_let_in and case.resources is not None),
    ("keys and shares", exposure.examine_endings, lambda case: case.is_let_in),
)
