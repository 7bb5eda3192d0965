"""Where it is written down what happened: who exported and imported what. By default nowhere.

Whoever keeps a journal has one method that begins an entry; what comes of it is added at its end.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from starlette.types import Scope

Details = Mapping[str, Any]


class JournalEntry(Protocol):
    """An entry that has begun."""

    def add(self, details: Details) -> None:
        """Adds how it ended. Waits for nothing."""


class Journal(Protocol):
    """Takes entries; never holds up an answer, and loses none without saying so."""

    def begin(self, scope: Scope, what: str, target: str, details: Details) -> JournalEntry:
        """Writes that something happens, by the caller of this request. Waits for nothing."""


class NoJournal:
    """Keeps nothing."""

    def add(self, details: Details) -> None:
        """Nothing is kept."""

    def begin(self, scope: Scope, what: str, target: str, details: Details) -> JournalEntry:
        """Nothing is kept."""
        return self
