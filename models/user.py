"""People with an e-mail address each, and where they live."""

from typing import Annotated, Any

from beanie import Document, Indexed
from pydantic import BaseModel, EmailStr, Field


class Address(BaseModel):
    street: str | None = None
    city: str | None = None
    zipcode: str | None = None
    country: str | None = None


class Profile(BaseModel):
    bio: str | None = None
    age: int | None = Field(None, ge=0, le=150)
    addresses: list[Address] = []


class User(Document):
    name: str = Field(min_length=1, max_length=200)
    email: Annotated[EmailStr, Indexed(unique=True)]
    age: int | None = Field(None, ge=0, le=150)
    profile: Profile | None = None

    class Settings:
        name = "users"

    class Resource:
        search = ["name"]

        @staticmethod
        def sample(fake: Any, number: int) -> dict[str, Any]:
            """One believable person for `docsheet seed`; about half of them live in China."""
            local = fake[fake.random.choice(["zh_CN"] * 3 + ["en_US", "de_DE", "fr_FR"])]
            age = fake.random.randint(18, 90)
            addresses = [local.fill(Address) for _ in range(fake.random.randint(1, 3))]
            return {
                "name": local.name(),
                "email": f"{local.user_name()}.{number}@example.com",
                "age": age,
                "profile": {"bio": local.sentence(), "age": age, "addresses": addresses},
            }
