from typing import Any

from beanie import Document, Link
from pydantic import Field

from models.teacher import Teacher

SUBJECTS = [
    "语文",
    "数学",
    "英语",
    "物理",
    "化学",
    "生物",
    "历史",
    "地理",
    "音乐",
    "美术",
    "Python",
    "Logic",
]


class Course(Document):
    name: str = Field(min_length=1, max_length=100)
    teacher: Link[Teacher]

    class Settings:
        name = "courses"

    class Resource:
        seeds = {"teacher": 2}

        @staticmethod
        def sample(fake: Any, number: int) -> dict[str, Any]:
            """A course of one of the subjects."""
            level, subject = divmod(number, len(SUBJECTS))
            return {"name": f"{SUBJECTS[subject]} {level + 1}", "teacher": fake.linked("teacher")}
