"""MongoDB's error numbers by MongoDB's names, those that something here depends on.

The whole list: https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml. A
number from 10000 on that isn't in that list belongs to one line of MongoDB's source; its name is
`Location` and the number.
"""

from enum import IntEnum

_FIRST_LOCATION = 10_000


class Code(IntEnum):
    """A code as the list names it.

    `AtlasError` and `RequestRateTooLarge` are those of Atlas and of Azure; the last five have no
    name: theirs says what they mean.
    """

    BadValue = 2
    NoSuchKey = 4
    HostUnreachable = 6
    HostNotFound = 7
    FailedToParse = 9
    Unauthorized = 13
    TypeMismatch = 14
    Overflow = 15
    InvalidLength = 16
    ProtocolError = 17
    AuthenticationFailed = 18
    IllegalOperation = 20
    InvalidBSON = 22
    AlreadyInitialized = 23
    NamespaceNotFound = 26
    PathNotViable = 28
    CannotBackfillArray = 34
    ConflictingUpdateOperators = 40
    MaxTimeMSExpired = 50
    DollarPrefixedFieldName = 52
    InvalidIdField = 53
    NotSingleValueField = 54
    InvalidDBRef = 55
    EmptyFieldName = 56
    DottedFieldName = 57
    CommandNotFound = 59
    ShardKeyNotFound = 61
    ImmutableField = 66
    InvalidOptions = 72
    InvalidNamespace = 73
    IndexOptionsConflict = 85
    IndexKeySpecsConflict = 86
    NetworkTimeout = 89
    ShutdownInProgress = 91
    NotYetInitialized = 94
    WriteConflict = 112
    DocTooLargeForCapped = 116
    DocumentValidationFailure = 121
    ExceededMemoryLimit = 146
    CommandNotSupportedOnView = 166
    OptionNotSupportedOnView = 167
    InvalidPipelineOperator = 168
    CannotIndexParallelArrays = 171
    PrimarySteppedDown = 189
    CannotBuildIndexKeys = 201
    SnapshotTooOld = 239
    ExceededTimeLimit = 262
    OperationNotSupportedInTransaction = 263
    QueryExceededMemoryLimitNoDiskUseAllowed = 292
    CannotConvertIndexToUnique = 359
    CollectionUUIDMismatch = 361
    UserWritesBlocked = 371
    NonConformantBSON = 378
    DuplicateKeyId = 386
    AtlasError = 8000
    SocketException = 9001
    CannotGrowDocumentInCappedNamespace = 10003
    LegacyNotPrimary = 10058
    NotWritablePrimary = 10107
    BSONObjectTooLarge = 10334
    DuplicateKey = 11000
    InterruptedAtShutdown = 11600
    Interrupted = 11601
    InterruptedDueToReplStateChange = 11602
    BackgroundOperationInProgressForDatabase = 12586
    BackgroundOperationInProgressForNamespace = 12587
    StaleConfig = 13388
    NotPrimaryNoSecondaryOk = 13435
    NotPrimaryOrSecondary = 13436
    OutOfDiskSpace = 14031
    RequestRateTooLarge = 16500
    KeyTooLong = 17280
    IDLDuplicateField = 40413
    IDLFailedToParse = 40414
    IDLUnknownField = 40415
    ClientMarkedKilled = 46841
    BackupCursorOpenConflictWithCheckpoint = 50915
    ConfigServerUnreachable = 56846
    RetriableRemoteCommandFailure = 91331
    InterruptedDueToFCVChange = 10045600

    ResultingDocumentTooLarge = 17419
    ResultOfUpdateTooLarge = 17420
    UpsertedDocumentTooLarge = 17421
    PatternDoesNotCompile = 51091
    PatternOptionsInvalid = 51108


def is_location(code: int) -> bool:
    """Whether the number is a line of MongoDB's source, and has no name."""
    return code >= _FIRST_LOCATION and code not in _NUMBERS


_NUMBERS = frozenset(Code)
