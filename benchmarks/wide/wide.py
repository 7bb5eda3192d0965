"""Texts and numbers in turn, 60 fields."""

from beanie import Document
from pydantic import create_model

_fields = {f"f{at:02d}": (str | None if at % 2 else int | None, None) for at in range(60)}


class Settings:
    """The collection's name."""

    name = "wide"


Wide = create_model("Wide", __base__=Document, __module__=__name__, **_fields)  # type: ignore[call-overload]
Wide.Settings = Settings
