"""An import of a workbook as a careful script does it: read-only, a model a row, bulks of 1,000.

`python -m benchmarks.peers.imports users.xlsx`. The model is plain pydantic, not Beanie, whose
documents take longer to make.
"""

import sys
from itertools import islice
from typing import Any

from openpyxl import load_workbook
from pydantic import BaseModel, EmailStr
from pymongo import MongoClient

from benchmarks.peers import NAME, URI

BULK = 1_000  # documents


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


class User(BaseModel):
    """A person."""

    name: str
    email: EmailStr
    age: int | None = None
    profile: Profile | None = None


def user(cells: tuple[Any, ...]) -> User:
    """The user of a row of eight cells."""
    name, email, bio, age, street, city, zipcode, country = cells
    home = {"street": street, "city": city, "zipcode": zipcode, "country": country}
    row = {"name": name, "email": email, "profile": {"bio": bio, "age": age, "addresses": [home]}}
    return User(**row)


def main(path: str) -> None:
    """Imports the first sheet."""
    sheet = load_workbook(path, read_only=True).worksheets[0]
    rows = sheet.iter_rows(min_row=2, max_col=8, values_only=True)
    with MongoClient[dict[str, Any]](URI) as client:
        users = client[NAME]["users"]
        while bulk := [user(cells).model_dump() for cells in islice(rows, BULK)]:
            users.insert_many(bulk)


if __name__ == "__main__":
    main(sys.argv[1])
