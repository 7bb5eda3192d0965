"""What tests ask of databases that we start: who ends one, which member is primary."""

from app.servers.embedded import EmbeddedDatabase
from app.servers.replica_set import ReplicaSet
from tests.support.waiting import LONGEST, wait_for


def owns(database: EmbeddedDatabase) -> bool:
    """Whether it started its mongod, and ends it; else it uses the one of another process."""
    return database._mongod is not None


def wait_for_primary(members: ReplicaSet, *, other_than: str | None = None) -> str:
    """The name of the primary, as soon as there is one (and another than that)."""
    seen: list[str] = []

    def is_there() -> bool:
        primary = members.primary
        if primary in (None, other_than):
            return False
        seen.append(str(primary))
        return True

    wait_for(is_there, LONGEST, "there is no primary")
    return seen[-1]
