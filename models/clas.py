from typing import Annotated, Any

from beanie import Document, Indexed
from pydantic import Field


class Clas(Document):
    name: Annotated[str, Indexed(unique=True), Field(min_length=1, max_length=100)]

    class Settings:
        name = "classes"

    class Resource:
        @staticmethod
        def sample(fake: Any, number: int) -> dict[str, Any]:
            """Grade and class, as schools in China count them."""
            grade, position = divmod(number, 20)
            return {"name": f"高{grade + 1}（{position + 1}）班"}
