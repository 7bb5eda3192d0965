"""Sessions that show a snapshot, where MongoDB has one.

https://www.mongodb.com/docs/manual/reference/read-concern-snapshot/
"""

from typing import Any

from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from app.store.collections import read_nature


def start_session(collection: Collection[Any], *, snapshot: bool) -> ClientSession:
    """A session of a snapshot, where it is asked for and MongoDB has one of this collection."""
    nature = read_nature(collection.database, collection.name)
    return collection.database.client.start_session(snapshot=snapshot and nature.has_snapshots)


def start_session_beside(session: ClientSession) -> ClientSession:
    """A session for another thread: it shows the snapshot that this one has read, where it has one.

    Else it shows nothing older than what this one has read.
    """
    snapshot = session._snapshot_time  # the driver has no public way to it
    other = session.client.start_session(snapshot=snapshot is not None)
    other._snapshot_time = snapshot
    if session.operation_time is not None:
        other.advance_operation_time(session.operation_time)
    return other
