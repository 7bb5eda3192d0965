"""What the lifespan is made of: parts, each opened with the database, prepared and closed."""

from app.store.client import Database


class Part:
    """Something of the server that needs the database.

    One that lacks a method has nothing to do there.
    """

    async def open(self, database: Database) -> None:
        """Takes the database, which is there until `close` has returned; asks it nothing."""

    async def prepare(self) -> bool:
        """Makes what it needs there; whether nothing is left to do, else it is called again.

        Raises `RequestError` where that is not possible yet.
        """
        return True

    def problems(self) -> list[str]:
        """Why the server is not ready, as far as it is this part's fault: a sentence each."""
        return []

    async def close(self) -> None:
        """Ends what it has under way."""
