"""Moments as MongoDB holds them: in UTC, in whole milliseconds (https://bsonspec.org/spec.html)."""

import datetime


def to_milliseconds(moment: datetime.datetime) -> datetime.datetime:
    """The moment without what is finer than a millisecond."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def now() -> datetime.datetime:
    """This moment, as it is read back when it was stored."""
    return to_milliseconds(datetime.datetime.now(datetime.UTC))
