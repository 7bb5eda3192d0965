"""Lists of documents with the linked ones in place, as Beanie's documentation has it.

https://beanie-odm.dev/tutorial/relations/: `fetch_links=True`. Started by `benchmarks.links`.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from beanie import init_beanie
from fastapi import FastAPI
from motor.motor_asyncio import AsyncIOMotorClient

from benchmarks.linked.members import Group, Member, Peer


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    client = AsyncIOMotorClient(os.environ["BENCH_URI"])
    await init_beanie(client[os.environ["BENCH_DB"]], document_models=[Group, Peer, Member])
    yield
    client.close()


app = FastAPI(lifespan=lifespan)


@app.get("/members/")
async def members(limit: int = 10) -> list[Member]:
    return await Member.find_all(fetch_links=True, limit=limit).sort("_id").to_list()
