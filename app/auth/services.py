"""What finds out who calls, on one database; made when that is opened."""

from collections.abc import Iterable
from dataclasses import dataclass

from app.auth.accounts import Accounts
from app.auth.audit import Audit
from app.auth.keys import Keys
from app.auth.refused_keys import RefusedKeys
from app.auth.sessions import Sessions
from app.auth.sign_in import RememberedPasswords, SignIn
from app.auth.signing import Signing
from app.auth.throttle import Throttle
from app.auth.tokens import TokenMaker
from app.resources.registry import Resource
from app.store.client import Database


@dataclass(frozen=True)
class AuthServices:
    """The accounts of one server process, and whatever somebody may sign in with."""

    accounts: Accounts
    keys: Keys
    sessions: Sessions
    tokens: TokenMaker
    audit: Audit
    sign_in: SignIn
    remembered: RememberedPasswords
    refused_keys: RefusedKeys

    @classmethod
    def make(
        cls, database: Database, resources: Iterable[Resource], audit: Audit
    ) -> "AuthServices":
        """Those of a database, for callers of these resources; sign-ins are in the audit."""
        accounts = Accounts(database, resources)
        sign_in = SignIn(accounts, Throttle(database), audit)
        keys = Keys(database)
        return cls(
            accounts,
            keys,
            Sessions(database),
            TokenMaker(database, Signing(database)),
            audit,
            sign_in,
            RememberedPasswords(accounts, sign_in),
            RefusedKeys(keys, audit),
        )

    async def prepare(self) -> None:
        """Makes the indexes of what is no resource."""
        await self.sessions.prepare()
        await self.tokens.prepare()
