"""Who calls and what they may do: accounts, keys, tokens, sessions, roles, shares, audit.

A user's own routes take `caller` as a dependency of FastAPI.
"""

from app.api.callers import Caller
from app.auth.dependency import caller

__all__ = ["Caller", "caller"]
