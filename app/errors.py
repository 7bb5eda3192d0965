"""What can go wrong, as classes that a caller can react to.

    DocsheetError
    ├── StartError                 the program can't start: a sentence that says what to do
    │   ├── SettingError           a setting's value can't be used
    │   └── DeclarationError       a document class says something that can't be true
    └── RequestError               an answer ≥ 400 (RFC 9457); the class carries its status
        ├── BadRequest             400
        ├── Unauthorized           401
        ├── Forbidden              403
        │   └── Unwritable         fields that the caller may not write
        ├── NotFound               404
        ├── MethodNotAllowed       405
        ├── Conflict               409
        │   └── Linked             others link to the document that is to go
        ├── Gone                   410
        ├── PreconditionFailed     412
        ├── TooLarge               413
        ├── AddressTooLong         414
        ├── UnsupportedMedia       415
        ├── Invalid                422
        ├── TooManyRequests        429, with Retry-After
        ├── NotSupported           501
        ├── Unavailable            503, with Retry-After
        │   ├── TimeLimitExceeded  the query took more of the database's time than it may
        │   └── SnapshotTooOld     the snapshot that an export reads is gone from the database
        └── ProtocolTooOld         505

`app/api/problems.py` is the one place that makes responses of them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in a request, and where.

    Exactly one of `pointer` (RFC 6901, into the body, as `#/profile/age`), `parameter` (of the
    query string) and `header` is set. `looked_around` says that it comes of a model's validator
    that was told of other fields as well, so that its sentence may tell of them.
    """

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None
    looked_around: bool = field(default=False, compare=False)


def and_more(found: Sequence[object]) -> str:
    """` (and 2 more)` behind the first of several, nothing behind a single one."""
    return f" (and {len(found) - 1} more)" if len(found) > 1 else ""


class DocsheetError(Exception):
    """The base of every error that this program raises on purpose."""


class StartError(DocsheetError):
    """The program can't start; the message is one sentence that says what to do."""


class SettingError(StartError):
    """A setting has a value, or a name, that can't be used."""


class DeclarationError(StartError):
    """A document class under `models/` declares what can't be true.

    The message names the class and the word.
    """


class RequestError(DocsheetError):
    """A request that is answered with an error: `detail` is a sentence for a person."""

    status = 500
    title = "Internal Server Error"
    problem: str | None = None  # the page under /docs/problems/ that explains it

    def __init__(self, detail: str, *faults: Fault, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = faults
        self.headers = headers or {}
        self.members: dict[str, Any] = {}  # of the problem document besides (RFC 9457, 3.2)


class BadRequest(RequestError):
    """The request can't be read: broken JSON, a foreign Host."""

    status, title = 400, "Bad Request"


class Unauthorized(RequestError):
    """Nobody is known to call: no credentials were sent, or they are not valid.

    `challenges` say what may be sent, a header `WWW-Authenticate` each (RFC 9110, 11.6.1).
    """

    status, title, problem = 401, "Unauthorized", "unauthorized"

    def __init__(self, detail: str, *challenges: str) -> None:
        super().__init__(detail)
        self.challenges = challenges


class Forbidden(RequestError):
    """The caller has no right to this, or another site's page tries to write."""

    status, title = 403, "Forbidden"


class Unwritable(Forbidden):
    """Fields were sent that the caller may not write; a fault points to each."""


class NotFound(RequestError):
    """There is no such path, or no such document."""

    status, title = 404, "Not Found"


class MethodNotAllowed(RequestError):
    """The path exists, but not for this method; `Allow` names those that it has."""

    status, title = 405, "Method Not Allowed"


class Conflict(RequestError):
    """A unique index has the value already, or the request can't be done as things are."""

    status, title, problem = 409, "Conflict", "conflict"


class Linked(Conflict):
    """Other documents link to the one that is to be deleted."""

    problem = "linked"


class Gone(RequestError):
    """What was there for a while is over: a share that has expired or was ended."""

    status, title, problem = 410, "Gone", "gone"


class PreconditionFailed(RequestError):
    """`If-Match` names another state of the document than the stored one."""

    status, title, problem = 412, "Precondition Failed", "precondition-failed"


class TooLarge(RequestError):
    """The body is larger than the limit."""

    status, title, problem = 413, "Content Too Large", "too-large"


class AddressTooLong(RequestError):
    """The address has more characters than are read."""

    status, title = 414, "URI Too Long"


class UnsupportedMedia(RequestError):
    """The body has no media type, or one that isn't read here."""

    status, title = 415, "Unsupported Media Type"


class Invalid(RequestError):
    """What was sent can be read, and can't be accepted; `faults` says where and why."""

    status, title, problem = 422, "Unprocessable Content", "invalid"


class TooManyRequests(RequestError):
    """The caller asked too often, or a password was tried too often.

    Worth trying again after `seconds`.
    """

    status, title, problem = 429, "Too Many Requests", "too-many-requests"

    def __init__(self, detail: str, seconds: float) -> None:
        super().__init__(detail, headers={"Retry-After": str(max(1, math.ceil(seconds)))})


class NotSupported(RequestError):
    """What is asked for needs a MongoDB that can do more, such as a replica set."""

    status, title = 501, "Not Implemented"


class Unavailable(RequestError):
    """The database can't be reached, or has no primary.

    Worth trying again after `retry_after` seconds.
    """

    status, title, problem = 503, "Service Unavailable", "unavailable"
    retry_after = 5  # seconds

    def __init__(self, detail: str, *faults: Fault, headers: dict[str, str] | None = None) -> None:
        super().__init__(
            detail, *faults, headers={"Retry-After": str(self.retry_after), **(headers or {})}
        )


class TimeLimitExceeded(Unavailable):
    """A query took more of the database's time than it may.

    The database has stopped working on it.
    """

    problem = "time-limit"


class SnapshotTooOld(Unavailable):
    """The snapshot that an export reads has left the database's window (error 239)."""

    problem = "snapshot-too-old"


class ProtocolTooOld(RequestError):
    """HTTP/1.0 can't show that a transfer broke, so exports refuse it."""

    status, title, problem = 505, "HTTP Version Not Supported", "http-version"
