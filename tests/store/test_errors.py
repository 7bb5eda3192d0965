"""What each of MongoDB's error numbers is answered with."""

from collections.abc import Mapping
from typing import Any

import pytest
from pymongo.errors import BulkWriteError, OperationFailure, WriteError, WTimeoutError

from app.errors import Conflict, DocsheetError, Invalid, MethodNotAllowed, Unavailable
from app.store.codes import Code
from app.store.errors import MISTAKES, translate

OF_THE_LIST = [*range(1, 463), *(code for code in Code if code >= 463)]


def failure(code: int, **details: Any) -> OperationFailure:
    return OperationFailure(details.get("errmsg", "refused"), code, details)


@pytest.mark.parametrize("writing", [False, True])
def test_every_number_of_the_list_but_our_own_mistakes_has_an_answer(writing: bool) -> None:
    left = {
        code
        for code in OF_THE_LIST
        if not isinstance(translate(failure(code), writing=writing), DocsheetError)
    }
    refused = {Code.KeyTooLong, Code.CannotGrowDocumentInCappedNamespace, Code.BSONObjectTooLarge}
    assert left - MISTAKES <= (set() if writing else refused)
    assert left == MISTAKES


@pytest.mark.parametrize("code", [46, 64, 133, 134, 146, 202, 365, 11601, 13388, 14031, 16500, 91])
def test_what_ends_by_itself_is_503_and_a_write_says_that_it_may_have_happened(code: int) -> None:
    for writing in (False, True):
        error = translate(failure(code), writing=writing)
        assert isinstance(error, Unavailable)
        assert error.headers["Retry-After"]
        assert ("may have happened" in error.detail) == writing


def test_write_that_was_blocked_did_not_happen() -> None:
    error = translate(failure(Code.UserWritesBlocked, codeName="UserWritesBlocked"), writing=True)
    assert isinstance(error, Unavailable)
    assert "UserWritesBlocked" in error.detail
    assert "may have happened" not in error.detail


def test_write_that_was_not_confirmed_in_time_may_have_happened() -> None:
    error = translate(WTimeoutError("waiting for replication timed out", 64), writing=True)
    assert isinstance(error, Unavailable)
    assert "may have happened" in error.detail


@pytest.mark.parametrize(
    ("code", "words", "shown"),
    [
        (
            16755,
            "Can't extract geo keys: { _id: 1, secret: 'x' }  longitude/latitude is out of bounds",
            "Can't extract geo keys: {…}  longitude/latitude is out of bounds",
        ),
        (
            171,
            "cannot index parallel arrays [b] [a]",
            "cannot index parallel arrays [b] [a]",
        ),
        (
            17262,
            "language override unsupported: 中文 is not supported.",
            "language override unsupported: 中文 is not supported",
        ),
    ],
)
def test_what_is_refused_because_of_the_data_is_422_in_mongodbs_words(
    code: int, words: str, shown: str
) -> None:
    error = translate(WriteError(words, code, {"errmsg": words}), writing=True)
    assert isinstance(error, Invalid)
    assert error.detail == f"MongoDB refuses this document: {shown}."
    assert [fault.pointer for fault in error.faults] == ["#"]


def test_rules_of_a_validator_are_named_with_their_fields() -> None:
    rules: list[Mapping[str, Any]] = [
        {
            "operatorName": "properties",
            "propertiesNotSatisfied": [
                {
                    "propertyName": "profile",
                    "details": [
                        {
                            "operatorName": "properties",
                            "propertiesNotSatisfied": [
                                {
                                    "propertyName": "age",
                                    "details": [
                                        {
                                            "operatorName": "minimum",
                                            "specifiedAs": {"minimum": 0},
                                            "consideredValue": -7,
                                        }
                                    ],
                                }
                            ],
                        }
                    ],
                }
            ],
        },
        {"operatorName": "required", "missingProperties": ["name"]},
    ]
    details = {"errInfo": {"details": {"schemaRulesNotSatisfied": rules}}}
    error = translate(failure(Code.DocumentValidationFailure, **details), writing=True)
    assert isinstance(error, Invalid)
    assert [(fault.pointer, fault.detail) for fault in error.faults] == [
        ("#/profile/age", "MongoDB's validator refuses this value (minimum: 0)."),
        ("#/name", "MongoDB's validator requires this field."),
    ]


def test_write_to_a_view_is_405() -> None:
    error = translate(failure(Code.CommandNotSupportedOnView), writing=True)
    assert isinstance(error, MethodNotAllowed)
    assert error.headers["Allow"] == "GET, HEAD"


def test_errors_of_a_bulk_are_those_of_its_writes() -> None:
    duplicate = {"code": 11000, "errmsg": "E11000", "keyPattern": {"email": 1}}
    late = {"code": 64, "errmsg": "waiting for replication timed out"}
    assert isinstance(translate(BulkWriteError({"writeErrors": [duplicate]})), Conflict)
    error = translate(BulkWriteError({"writeErrors": [], "writeConcernErrors": [late]}))
    assert isinstance(error, Unavailable)
    assert "may have happened" in error.detail
