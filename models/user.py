"""People with an e-mail address each, and where they live."""

from typing import Annotated, Any

from beanie import Document, Indexed
from pydantic import BaseModel, EmailStr, Field


class Address(BaseModel):
    """A postal address; what isn't known is left out."""

    street: str | None = None
    city: str | None = None
    zipcode: str | None = None
    country: str | None = None


class Profile(BaseModel):
    """What a person tells about themselves."""

    bio: str | None = None
    age: int | None = Field(None, ge=0, le=150)
    addresses: list[Address] = []


class User(Document):
    """A person; no two have the same e-mail address."""

    name: str = Field(min_length=1, max_length=200)
    email: Annotated[EmailStr, Indexed(unique=True)]
    age: int | None = Field(None, ge=0, le=150)
    profile: Profile | None = None

    class Settings:
        name = "users"

    class Resource:
        search = ("name",)

        @staticmethod
        def sample(fake: Any, number: int) -> dict[str, Any]:
            """One believable person: about half have Chinese names, each has one to three addresses."""
            country = fake.random_element(["中国", "中国", "USA", "Deutschland", "France"])
            local = fake[{"中国": "zh_CN", "USA": "en_US", "Deutschland": "de_DE", "France": "fr_FR"}[country]]
            age = fake.random_int(18, 90)
            addresses = [
                {
                    "street": local.street_address(),
                    "city": local.city(),
                    "zipcode": local.postcode(),
                    "country": country,
                }
                for _ in range(fake.random_int(1, 3))
            ]
            return {
                "name": local.name(),
                "email": f"{fake['en_US'].user_name()}.{number}@example.com",
                "age": age,
                "profile": {"bio": local.sentence(), "age": age, "addresses": addresses},
            }
