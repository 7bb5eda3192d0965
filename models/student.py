from typing import TYPE_CHECKING, Annotated, Any

from beanie import Document, Indexed, Link
from pydantic import Field

from models.password import Password

if TYPE_CHECKING:  # links may name classes of other files
    from models.clas import Clas
    from models.course import Course

LETTERS = r"^[^\W\d_]+$"  # of any script


class Student(Document):
    sno: Annotated[int, Indexed(unique=True), Field(ge=1001, le=9999)]
    name: str = Field(min_length=1, max_length=100, pattern=LETTERS)
    pwd: Password | None = Field(None, exclude=True)
    clas: Link["Clas"] | None = None
    courses: list[Link["Course"]] = []

    class Settings:
        name = "students"

    class Resource:
        search = ["name"]
        seeds = {"clas": 40, "courses": 25}

        @staticmethod
        def sample(fake: Any, number: int) -> dict[str, Any]:
            """A student of one of the classes, with some courses."""
            courses = [fake.linked("courses") for _ in range(fake.random.randint(2, 6))]
            return {
                "sno": 1001 + number,
                "name": fake["zh_CN"].name(),
                "clas": fake.linked("clas"),
                "courses": list(dict.fromkeys(courses)),
            }
