"""What the pages at `/docs/problems/` say of each problem, by the name in `RequestError.problem`.

A title, and what helps.
"""

PROBLEMS: dict[str, tuple[str, str]] = {
    "conflict": (
        "A value is taken",
        "A unique index has this value already, in another document. Send another value, or change "
        "the document that has it.",
    ),
    "linked": (
        "Other documents link to this one",
        "Deleting it would leave links that lead nowhere. `detail` says how many documents link to "
        "it and in which field: change or delete those first. "
        'A model that says on_delete = "keep" lets its documents go.',
    ),
    "gone": (
        "A link that is over",
        "A shared download has an end, and whoever made it may end it before. Ask for a new link.",
    ),
    "precondition-failed": (
        "The document has changed",
        "If-Match names a state of the document that is no longer the stored one: somebody wrote "
        "in between. Read the document again, look at what changed, and repeat the write with the "
        "new ETag.",
    ),
    "too-large": (
        "The body is too large",
        "A JSON body has a limit (the setting BODY_LIMIT_MIB). MongoDB itself holds documents "
        "of up to 16 MiB.",
    ),
    "invalid": (
        "What was sent can't be accepted",
        "`errors` names each field (`pointer`), parameter or header at fault, and says what would "
        "be right. Unknown names are refused, never ignored.",
    ),
    "unauthorized": (
        "Who calls is not known",
        "This server has accounts. Send an access token or a key (Authorization: Bearer …), or a "
        "name and a password (HTTP Basic). What was sent may be over, revoked, or of an account "
        "that is disabled.",
    ),
    "too-many-requests": (
        "Too many requests",
        "Retry-After says how many seconds to wait: one caller may ask so often in that time (the "
        "setting RATE_LIMIT). Where passwords are tried, the right one is refused as well until "
        "then.",
    ),
    "unavailable": (
        "Not at the moment",
        "The database can't be reached, has no primary, or too much is under way. Try again after "
        "the seconds that Retry-After says. A write may have happened all the same: read before "
        "you repeat it.",
    ),
    "time-limit": (
        "The query took too long",
        "Every query has a limit of the database's time (the setting QUERY_TIME_LIMIT_SECONDS). A "
        "filter or a sort on an indexed field, a simpler pattern, or paging by the Link header "
        "instead of a large skip helps.",
    ),
    "snapshot-too-old": (
        "The snapshot has expired",
        "An export reads a snapshot of the collection, which the database keeps for some minutes "
        "(minSnapshotHistoryWindowInSeconds). For slower downloads widen it, or ask with "
        "consistency=none.",
    ),
    "http-version": (
        "HTTP/1.0 is too old for downloads",
        "It can't show that a transfer broke. A proxy in front has to speak HTTP/1.1: for nginx, "
        "proxy_http_version 1.1.",
    ),
}
