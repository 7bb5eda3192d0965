"""A library as modules of source: documents that link to each other in every way there is."""

BOOKS = '''
from typing import List, Optional

from beanie import Document, Link
from pydantic import BaseModel


class Chapter(BaseModel):
    """A part of a book."""

    by: Link["Author"] | None = None


class Book(Document):
    """Links in every place where one can stand."""

    title: str
    author: Link["Author"]
    shelf: Link["Shelf"] | None = None
    editors: list[Link["Author"]] = []
    translators: list[Link["Author"]] | None = None
    printer: Optional[Link["Author"]] = None
    readers: Optional[List[Link["Author"]]] = None
    chapters: list[Chapter] = []
    preface: Chapter | None = None
    sequel: Link["Book"] | None = None

    class Settings:
        name = "books"
'''
PEOPLE = '''
from typing import Optional

from beanie import BackLink, Document
from pydantic import Field


class Author(Document):
    """Is linked to."""

    name: str
    books: list[BackLink["Book"]] = Field(json_schema_extra={"original_field": "author"})
    first: BackLink["Book"] = Field(json_schema_extra={"original_field": "printer"})
    edited: Optional[list[BackLink["Book"]]] = Field(
        None, json_schema_extra={"original_field": "editors"}
    )

    class Settings:
        name = "authors"


class Shelf(Document):
    """Has a number for a key."""

    id: int = Field(alias="_id")

    class Settings:
        name = "shelves"
'''
ONE_MODULE = f"{BOOKS}{PEOPLE}\n\nChapter.model_rebuild()\nBook.model_rebuild()\n"
