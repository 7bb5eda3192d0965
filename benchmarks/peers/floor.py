"""The floor of CRUD: Starlette, Motor and orjson with no validation, no headers and no limits."""

from typing import Any

import orjson
from bson import ObjectId
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import ReturnDocument
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.peers import NAME, URI

users = AsyncIOMotorClient(URI)[NAME]["users"]


def answer(content: Any, status: int = 200) -> Response:
    """JSON, with what orjson doesn't know as text."""
    return Response(orjson.dumps(content, default=str), status, media_type="application/json")


async def read(request: Request) -> Response:
    """One user."""
    found = await users.find_one({"_id": ObjectId(request.path_params["key"])})
    return answer(found, 200 if found else 404)


async def list_users(request: Request) -> Response:
    """The first ten, of all or of those whose name matches."""
    keyword = request.query_params.get("keyword")
    condition = {"name": {"$regex": keyword, "$options": "i"}} if keyword else {}
    return answer(await users.find(condition).sort("_id", 1).limit(10).to_list(10))


async def create(request: Request) -> Response:
    """A new user."""
    document = orjson.loads(await request.body())
    await users.insert_one(document)
    return answer(document, 201)


async def patch(request: Request) -> Response:
    """Some fields of a user."""
    changes = orjson.loads(await request.body())
    key = ObjectId(request.path_params["key"])
    return answer(
        await users.find_one_and_update(
            {"_id": key}, {"$set": changes}, return_document=ReturnDocument.AFTER
        )
    )


app = Starlette(
    routes=[
        Route("/users/", list_users, methods=["GET"]),
        Route("/users/", create, methods=["POST"]),
        Route("/users/{key}", read, methods=["GET"]),
        Route("/users/{key}", patch, methods=["PATCH"]),
    ]
)
