from typing import Annotated, Any

from beanie import Document, Indexed
from pydantic import Field

from models.password import Password


class Teacher(Document):
    name: str = Field(min_length=1, max_length=100)
    tno: Annotated[int, Indexed(unique=True), Field(ge=1)]
    pwd: Password | None = Field(None, exclude=True)

    class Settings:
        name = "teachers"

    class Resource:
        @staticmethod
        def sample(fake: Any, number: int) -> dict[str, Any]:
            """A teacher with a staff number."""
            return {"name": fake["zh_CN"].name(), "tno": number + 1}
