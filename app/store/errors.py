"""The driver's errors → ours, in one place.

Codes: https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
)

from app.errors import (
    Conflict,
    DocsheetError,
    Fault,
    Invalid,
    RequestError,
    SnapshotTooOld,
    TimeLimitExceeded,
    Unavailable,
)
from app.resources.faults import pointer

_log = logging.getLogger("docsheet.database")
_NOT_PERMITTED = (13, 18, 8000)  # Unauthorized, AuthenticationFailed, Atlas' own
_BAD_VALUE = 2
_PATTERNS = (_BAD_VALUE, 51091, 51108)  # a NUL, a pattern that does not compile, bad options
_LITERAL = ("__contains", "__startswith")  # filters whose patterns are made of literal text
_TOO_LARGE = (10334, 17419, 17420, 17421)
LOST = (
    6,
    7,
    89,
    91,
    189,
    262,
    9001,
    10107,
    11600,
    11602,
    13435,
    13436,
)  # a server or its connection went
_WRITE_CONFLICT = 112
MAX_TIME = 50
SNAPSHOT_TOO_OLD = 239
_TOO_DEEP = 15
_REFUSED_BY_COLLECTION = 121


@contextmanager
def translated(*, writing: bool = False, patterns: tuple[str, ...] = ()) -> Iterator[None]:
    """Runs a piece of work with the database; a `PyMongoError` in it becomes one of ours.

    `patterns` are the parameters whose regular expressions the database judges.
    """
    try:
        yield
    except DocsheetError:
        raise
    except PyMongoError as error:
        raise translate(error, writing=writing, patterns=patterns) from error


def translate(
    error: PyMongoError, *, writing: bool = False, patterns: tuple[str, ...] = ()
) -> DocsheetError | PyMongoError:
    """Our error for the driver's, or the driver's where it can only be a mistake of this program."""
    if isinstance(error, DuplicateKeyError):
        return conflict(error.details or {})
    if isinstance(error, BulkWriteError):
        return _of_bulk(error)
    if isinstance(error, DocumentTooLarge):
        return _too_large()
    if isinstance(error, ConnectionFailure | WaitQueueTimeoutError | ConfigurationError):
        return unreachable(error, writing=writing)
    if isinstance(error, OperationFailure):
        return _of_code(error, writing, patterns)
    return error


def unreachable(reason: object, *, writing: bool = False) -> Unavailable:
    """503: no server answered, or none is primary."""
    _log.warning("the database can't be reached: %s", reason)
    may = " The write may have happened all the same: read before you repeat it." if writing else ""
    return Unavailable(
        "The database can't be reached, or has no primary at the moment; try again soon." + may
    )


def conflict(details: Mapping[str, Any]) -> Conflict:
    """409 naming the fields of the unique index, and nothing of the document that has the value."""
    paths = list(details.get("keyPattern") or {}) or ["_id"]
    names = " and ".join(paths)
    detail = f"Another document has the same {names}; it must be unique."
    return Conflict(detail, *(Fault(detail, pointer=pointer(path.split("."))) for path in paths))


def _of_code(
    error: OperationFailure, writing: bool, patterns: tuple[str, ...]
) -> DocsheetError | PyMongoError:
    code = error.code or 0
    if code == MAX_TIME:
        return time_limit(writing=writing)
    if code == SNAPSHOT_TOO_OLD:
        return SnapshotTooOld(
            "The picture that this export reads has left the database's window; use consistency=none, or widen "
            "minSnapshotHistoryWindowInSeconds on the server (embedded: EMBEDDED_SNAPSHOT_SECONDS)."
        )
    if code == _BAD_VALUE and "hint provided" in str(error):
        return Unavailable("An index that this order relies on was dropped meanwhile; try again.")
    written = [name for name in patterns if not name.endswith(_LITERAL)]
    if code in _PATTERNS and written:
        return _bad_pattern(error, written)
    if code in _NOT_PERMITTED:
        _log.error("the database refused the credentials or the rights of MONGO_URI: %s", error)
        return Unavailable(
            "The database does not let this server in; its operator finds the reason in the log."
        )
    if code in _TOO_LARGE:
        return _too_large()
    if code == _TOO_DEEP:
        return Invalid(
            "The document is nested too deeply for MongoDB.",
            Fault("Nested too deeply.", pointer="#"),
        )
    if code == _REFUSED_BY_COLLECTION:
        detail = "The collection's own validator in MongoDB refuses this document."
        return Invalid(detail, Fault(detail, pointer="#"))
    if code in (*LOST, _WRITE_CONFLICT) or error.has_error_label("TransientTransactionError"):
        return unreachable(error, writing=writing)
    return error


def time_limit(*, writing: bool = False) -> TimeLimitExceeded:
    """503: the query took more of the database's time than it may."""
    may = " The write may have happened all the same." if writing else ""
    return TimeLimitExceeded(
        "The query took longer than the database may work on one (QUERY_TIME_LIMIT_SECONDS), so it was stopped. A "
        "filter or a sort on an indexed field, a simpler pattern, or paging by the Link header instead of a large "
        "skip helps." + may
    )


def _bad_pattern(error: OperationFailure, patterns: list[str]) -> Invalid:
    reason = str((error.details or {}).get("errmsg") or error).rpartition("::")[2].strip()
    faults = []
    for name in patterns:
        text = f"{name.rpartition('__')[0] or 'name'}__contains="
        faults.append(
            Fault(
                f"MongoDB refuses this regular expression ({reason}); {text} finds literal text.",
                parameter=name,
            )
        )
    return Invalid(faults[0].detail, *faults)


def _too_large() -> Invalid:
    detail = "The document would be larger than the 16 MiB that MongoDB holds."
    return Invalid(detail, Fault(detail, pointer="#"))


def _of_bulk(error: BulkWriteError) -> RequestError | PyMongoError:
    for one in (error.details or {}).get("writeErrors", ()):
        if one.get("code") == 11000:
            return conflict(one)
    return error
