"""starlette-admin over Beanie, as its tutorial has it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from beanie import init_beanie
from motor.motor_asyncio import AsyncIOMotorClient
from starlette.applications import Starlette
from starlette_admin.contrib.beanie import Admin, ModelView

from benchmarks.peers import NAME, URI
from benchmarks.peers.textbook import User


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Connects Beanie."""
    client: AsyncIOMotorClient[Any] = AsyncIOMotorClient(URI)
    await init_beanie(client[NAME], document_models=[User])
    yield


# It asks for a name that Beanie 2 has; what it calls is the same.
User.get_pymongo_collection = User.get_motor_collection  # type: ignore[attr-defined]
app = Starlette(lifespan=lifespan)
admin = Admin(title="Users")
admin.add_view(ModelView(User))
admin.mount_to(app)
