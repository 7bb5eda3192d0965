"""People with an e-mail address each, and where they live."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
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
            draw = fake["en_US"].random
            country = draw.choice(("中国", "中国", "中国", "USA", "Deutschland", "France"))
            place = _places(fake)[country]
            age = draw.randint(18, 90)
            addresses = [
                {
                    "street": draw.choice(place.streets),
                    "city": draw.choice(place.cities),
                    "zipcode": draw.choice(place.zipcodes),
                    "country": country,
                }
                for _ in range(draw.randint(1, 3))
            ]
            return {
                "name": place.joint.join((draw.choice(place.begins), draw.choice(place.ends))),
                "email": f"{draw.choice(place.accounts)}.{number}@example.com",
                "age": age,
                "profile": {"bio": draw.choice(place.bios), "age": age, "addresses": addresses},
            }


LOCALES = {"中国": "zh_CN", "USA": "en_US", "Deutschland": "de_DE", "France": "fr_FR"}
POOL = 300  # words of each sort, drawn once for each Faker: asking it anew for every person is ten times slower


@dataclass(frozen=True)
class Place:
    """What people of one country are called and where they live; a name is a begin, the joint and an end."""

    begins: tuple[str, ...]
    joint: str
    ends: tuple[str, ...]
    streets: tuple[str, ...]
    cities: tuple[str, ...]
    zipcodes: tuple[str, ...]
    bios: tuple[str, ...]
    accounts: tuple[str, ...]


@lru_cache(maxsize=8)
def _places(fake: Any) -> dict[str, Place]:
    return {
        country: _place(fake[locale], chinese=locale == "zh_CN")
        for country, locale in LOCALES.items()
    }


def _place(local: Any, *, chinese: bool) -> Place:
    def pool(make: Callable[[], str]) -> tuple[str, ...]:
        return tuple(make() for _ in range(POOL))

    firsts, lasts = pool(local.first_name), pool(local.last_name)
    begins, ends = (lasts, firsts) if chinese else (firsts, lasts)
    return Place(
        begins,
        "" if chinese else " ",
        ends,
        pool(local.street_address),
        pool(local.city),
        pool(local.postcode),
        pool(local.sentence),
        pool(local.user_name),
    )
