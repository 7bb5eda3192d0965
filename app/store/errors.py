"""The driver's errors → ours, in one place.

What MongoDB refuses because of the data is 422 in its words. A mistake of this program is left as
it is, so that it is 500 and in the log. Everything else ends later by itself or by its operator:
503.
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import bson
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
    Forbidden,
    Invalid,
    MethodNotAllowed,
    SnapshotTooOld,
    TimeLimitExceeded,
    Unavailable,
)
from app.resources.faults import pointer
from app.store.codes import Code, is_location

_log = logging.getLogger("docsheet.database")

# A server or its connection went, or another is primary now: the same is asked again.
LOST = frozenset(
    {
        Code.HostUnreachable,
        Code.HostNotFound,
        Code.NetworkTimeout,
        Code.ShutdownInProgress,
        Code.PrimarySteppedDown,
        Code.ExceededTimeLimit,
        Code.SocketException,
        Code.NotWritablePrimary,
        Code.InterruptedAtShutdown,
        Code.InterruptedDueToReplStateChange,
        Code.NotPrimaryNoSecondaryOk,
        Code.NotPrimaryOrSecondary,
    }
)
# The user of MONGO_URI is not let in, or may not do this.
NOT_PERMITTED = frozenset({Code.Unauthorized, Code.AuthenticationFailed, Code.AtlasError})
# A NUL in a regular expression, one that doesn't compile, its options.
_PATTERNS = frozenset({Code.BadValue, Code.PatternDoesNotCompile, Code.PatternOptionsInvalid})
_TOO_LARGE = frozenset(
    {
        Code.BSONObjectTooLarge,
        Code.ResultingDocumentTooLarge,
        Code.ResultOfUpdateTooLarge,
        Code.UpsertedDocumentTooLarge,
    }
)
# What was written can't be stored: because of its shape, or of an index or a rule of the
# collection.
_REFUSED_DATA = frozenset(
    {
        Code.InvalidLength,
        Code.InvalidBSON,
        Code.PathNotViable,
        Code.CannotBackfillArray,
        Code.DollarPrefixedFieldName,
        Code.InvalidIdField,
        Code.NotSingleValueField,
        Code.InvalidDBRef,
        Code.EmptyFieldName,
        Code.DottedFieldName,
        Code.ShardKeyNotFound,
        Code.ImmutableField,
        Code.DocTooLargeForCapped,
        Code.CannotIndexParallelArrays,
        Code.CannotBuildIndexKeys,
        Code.NonConformantBSON,
        Code.DuplicateKeyId,
        Code.CannotGrowDocumentInCappedNamespace,
        Code.KeyTooLong,
    }
)
# What is asked for isn't a collection that takes writes.
READ_ONLY = frozenset({Code.CommandNotSupportedOnView, Code.OptionNotSupportedOnView})
# A command that this program should not have sent.
MISTAKES = frozenset(
    {
        Code.BadValue,
        Code.NoSuchKey,
        Code.FailedToParse,
        Code.TypeMismatch,
        Code.ProtocolError,
        Code.IllegalOperation,
        Code.ConflictingUpdateOperators,
        Code.CommandNotFound,
        Code.InvalidOptions,
        Code.InvalidNamespace,
        Code.InvalidPipelineOperator,
        Code.OperationNotSupportedInTransaction,
        Code.IDLDuplicateField,
        Code.IDLFailedToParse,
        Code.IDLUnknownField,
        Code.PatternOptionsInvalid,
    }
)
_NOT_WRITTEN = frozenset({Code.UserWritesBlocked})  # nothing was written, for sure
_LITERAL = ("__contains", "__startswith")  # filters whose patterns are made of literal text
MAY_HAVE_HAPPENED = " The write may have happened all the same: read before you repeat it."


@contextmanager
def translate_errors(*, writing: bool = False, patterns: tuple[str, ...] = ()) -> Iterator[None]:
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
    """Our error for the driver's; the driver's where it can only be a mistake of this program."""
    if isinstance(error, DuplicateKeyError):
        return make_duplicate(error.details or {})
    if isinstance(error, BulkWriteError):
        return _translate_bulk(error)
    if isinstance(error, DocumentTooLarge):
        return _make_too_large()
    if isinstance(error, ConnectionFailure | WaitQueueTimeoutError | ConfigurationError):
        return make_unavailable(error, writing=writing)
    if isinstance(error, OperationFailure):
        return _translate_code(error, writing, patterns)
    return error


def make_unavailable(reason: object, *, writing: bool = False) -> Unavailable:
    """503: no server answered, or none is primary."""
    _log.warning("the database can't be reached: %s", reason)
    may = MAY_HAVE_HAPPENED if writing else ""
    return Unavailable(
        "The database can't be reached, or has no primary at the moment; try again soon." + may
    )


def make_duplicate(details: Mapping[str, Any]) -> Conflict:
    """409 naming the fields of the unique index, and nothing of the document that has the value."""
    paths = list(details.get("keyPattern") or {}) or ["_id"]
    return make_conflict(paths)


def make_conflict(paths: Sequence[str]) -> Conflict:
    """409: another document has the same values at these paths."""
    names = " and ".join(paths)
    detail = f"Another document has the same {names}; it must be unique."
    return Conflict(detail, *(Fault(detail, pointer=pointer(path.split("."))) for path in paths))


def is_parallel(error: OperationFailure) -> bool:
    """Whether a find refuses a sort because two of its keys are arrays in one document."""
    return error.code == Code.BadValue and "parallel arrays" in str(error)


def _translate_code(
    error: OperationFailure, writing: bool, patterns: tuple[str, ...]
) -> DocsheetError | PyMongoError:
    code = error.code or 0
    written = [name for name in patterns if not name.endswith(_LITERAL)]
    if code == Code.MaxTimeMSExpired:
        return make_time_limit(writing=writing)
    if code == Code.SnapshotTooOld:
        return _make_snapshot_too_old()
    if code == Code.BadValue and "hint provided" in str(error):
        return Unavailable("An index that this order relies on was dropped meanwhile; try again.")
    if code in _PATTERNS and written:
        return _explain_bad_pattern(error, written)
    if code == Code.PatternDoesNotCompile:
        return _make_bad_rule(error)
    if code in NOT_PERMITTED:
        return _make_not_permitted(error)
    if code in LOST or code == Code.WriteConflict:
        return make_unavailable(error, writing=writing)
    if error.has_error_label("TransientTransactionError"):
        return make_unavailable(error, writing=writing)
    if writing:
        refused = _find_refusal(error, code)
        if refused is not None:
            return refused
    if code in MISTAKES or is_location(code):
        return error
    return _make_unavailable_for_now(error, writing=writing)


def _find_refusal(error: OperationFailure, code: int) -> DocsheetError | None:
    """What MongoDB refuses because of the document that is written, or of its collection."""
    if code in READ_ONLY:
        return make_read_only("a view")
    if code in _TOO_LARGE:
        return _make_too_large()
    if code == Code.Overflow:
        return Invalid(
            "The document is nested too deeply for MongoDB.",
            Fault("Nested too deeply.", pointer="#"),
        )
    if code == Code.DocumentValidationFailure:
        return _explain_validator(error)
    if code in _REFUSED_DATA or is_location(code):
        detail = f"MongoDB refuses this document: {_read_words(error)}."
        return Invalid(detail, Fault(detail, pointer="#"))
    return None


def make_read_only(kind: str) -> MethodNotAllowed:
    """405: the collection is one of a kind that takes no writes here."""
    return MethodNotAllowed(
        f"The collection is {kind}, which can only be read.", headers={"Allow": "GET, HEAD"}
    )


def make_time_limit(*, writing: bool = False) -> TimeLimitExceeded | Unavailable:
    """503: the query, or the write, took more of the database's time than it may."""
    if writing:
        return Unavailable(
            "The database didn't carry out the write in time (PRIMARY_WAIT_SECONDS); it may be "
            "locked, or too few of its members may answer." + MAY_HAVE_HAPPENED
        )
    return TimeLimitExceeded(
        "The query took longer than the database may work on one (QUERY_TIME_LIMIT_SECONDS), so it "
        "was stopped. A filter or a sort on an indexed field, a simpler pattern, or paging by the "
        "Link header instead of a large skip helps."
    )


def _make_snapshot_too_old() -> SnapshotTooOld:
    return SnapshotTooOld(
        "The snapshot that this export reads has left the database's window; use consistency=none, "
        "or widen minSnapshotHistoryWindowInSeconds on the server (embedded: "
        "EMBEDDED_SNAPSHOT_SECONDS)."
    )


def _make_not_permitted(error: OperationFailure) -> Unavailable:
    _log.error("the database refused the credentials or the rights of MONGO_URI: %s", error)
    return Unavailable(
        "The database does not let this server in, or not do this; its operator finds the reason "
        "in the log."
    )


def _make_unavailable_for_now(error: OperationFailure, *, writing: bool) -> Unavailable:
    """503: whatever else the database reports, an operation killed or a disk full."""
    _log.warning("the database reports: %s", error)
    name = (error.details or {}).get("codeName") or f"error {error.code}"
    may = MAY_HAVE_HAPPENED if writing and error.code not in _NOT_WRITTEN else ""
    return Unavailable(
        f"The database can't do this at the moment (it reports {name}); try again soon." + may
    )


def _explain_bad_pattern(error: OperationFailure, patterns: list[str]) -> Invalid:
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


def _make_bad_rule(error: OperationFailure) -> Forbidden:
    """403: nobody asked for a regular expression, so that it is one of the caller's rules."""
    _log.error("a role has a regular expression that the database refuses: %s", _read_words(error))
    return Forbidden(
        "A rule of your role has a regular expression that MongoDB refuses; an administrator can "
        "change it."
    )


def _make_too_large() -> Invalid:
    detail = "The document would be larger than the 16 MiB that MongoDB holds."
    return Invalid(detail, Fault(detail, pointer="#"))


def _read_words(error: OperationFailure) -> str:
    """MongoDB's own message without documents, which may hold fields that aren't shown."""
    words = str((error.details or {}).get("errmsg") or error)
    words = words.removeprefix("Plan executor error during findAndModify :: caused by :: ")
    return re.sub(r"\s*\{.*\}", " {…}", words, flags=re.DOTALL).strip().rstrip(".")


def _explain_validator(error: OperationFailure) -> Invalid:
    """422 with a fault for each rule of the collection's `$jsonSchema` that isn't kept.

    https://www.mongodb.com/docs/manual/core/schema-validation/handle-invalid-documents/
    """
    detail = "The collection's own validator in MongoDB refuses this document."
    information = (error.details or {}).get("errInfo") or {}
    rules = (information.get("details") or {}).get("schemaRulesNotSatisfied") or ()
    faults = [fault for rule in rules for fault in _faults_of_rule(rule, ())]
    return Invalid(detail, *(faults or [Fault(detail, pointer="#")]))


def _faults_of_rule(rule: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[Fault]:
    for broken in rule.get("propertiesNotSatisfied") or ():
        for inner in broken.get("details") or ():
            yield from _faults_of_rule(inner, (*above, str(broken.get("propertyName"))))
    for name in rule.get("missingProperties") or ():
        yield Fault("MongoDB's validator requires this field.", pointer=pointer((*above, name)))
    if "propertiesNotSatisfied" in rule or "missingProperties" in rule:
        return
    name = rule.get("operatorName", "a rule")
    stated = _text_of((rule.get("specifiedAs") or {}).get(name))
    yield Fault(f"MongoDB's validator refuses this value ({name}{stated}).", pointer=pointer(above))


def _text_of(value: object) -> str:
    return f": {value}" if isinstance(value, str | int | float | bson.Decimal128) else ""


def _translate_bulk(error: BulkWriteError) -> DocsheetError | PyMongoError:
    details = error.details or {}
    for failed in details.get("writeErrors", ()):
        if failed.get("code") == Code.DuplicateKey:
            return make_duplicate(failed)
    for failed in (*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())):
        one = OperationFailure(str(failed.get("errmsg")), failed.get("code"), failed)
        return translate(one, writing=True)
    return error
