"""The textbook: FastAPI and Beanie as their tutorials write CRUD and an export."""

import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from beanie import Document, Indexed, PydanticObjectId, init_beanie
from fastapi import FastAPI, HTTPException, Response
from motor.motor_asyncio import AsyncIOMotorClient
from pydantic import BaseModel, EmailStr

from benchmarks.peers import NAME, URI


class Address(BaseModel):
    """A postal address."""

    street: str | None = None
    city: str | None = None
    zipcode: str | None = None
    country: str | None = None


class Profile(BaseModel):
    """What a person tells."""

    bio: str | None = None
    age: int | None = None
    addresses: list[Address] = []


class User(Document):
    """A person."""

    name: str
    email: Annotated[EmailStr, Indexed(unique=True)]
    age: int | None = None
    profile: Profile | None = None

    class Settings:
        name = "users"


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Connects Beanie."""
    client: AsyncIOMotorClient[Any] = AsyncIOMotorClient(URI)
    await init_beanie(client[NAME], document_models=[User])
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/users/", response_model=list[User])
async def list_users(keyword: str | None = None, skip: int = 0, limit: int = 10) -> Any:
    """A page of users."""
    condition = {"name": {"$regex": keyword, "$options": "i"}} if keyword else {}
    return await User.find(condition).skip(skip).limit(limit).to_list()


@app.get("/users/export/csv")
async def export_csv() -> Response:
    """Every user as a row."""
    users = await User.find_all().to_list()
    output = io.StringIO()
    writer = csv.writer(output)
    writer.writerow(["name", "email", "bio", "age", "street", "city", "zipcode", "country"])
    for user in users:
        profile = user.profile or Profile()
        home = profile.addresses[0] if profile.addresses else Address()
        writer.writerow(
            [
                user.name,
                user.email,
                profile.bio,
                profile.age,
                home.street,
                home.city,
                home.zipcode,
                home.country,
            ]
        )
    return Response(output.getvalue(), media_type="text/csv")


@app.get("/users/{key}", response_model=User)
async def read(key: PydanticObjectId) -> User:
    """One user."""
    return await _found(key)


@app.post("/users/", response_model=User, status_code=201)
async def create(user: User) -> User:
    """A new user."""
    await user.insert()
    return user


class Changes(BaseModel):
    """What may be changed."""

    name: str | None = None
    email: EmailStr | None = None
    age: int | None = None
    profile: Profile | None = None


@app.patch("/users/{key}", response_model=User)
async def patch(key: PydanticObjectId, changes: Changes) -> User:
    """Some fields of a user."""
    user = await _found(key)
    await user.set(changes.model_dump(exclude_unset=True))
    return user


async def _found(key: PydanticObjectId) -> User:
    user = await User.get(key)
    if user is None:
        raise HTTPException(404)
    return user
