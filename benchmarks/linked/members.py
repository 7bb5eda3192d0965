"""Members of some groups, each with a peer of its own."""

from typing import Annotated

from beanie import Document, Indexed, Link


class Group(Document):
    """One of few, to which many link."""

    name: str

    class Settings:
        name = "groups"


class Peer(Document):
    """One of as many as there are members."""

    name: str

    class Settings:
        name = "peers"


class Member(Document):
    """Links to both."""

    number: Annotated[int, Indexed()]
    name: str
    groups: list[Link[Group]] = []  # noqa: RUF012 - pydantic copies it
    peer: Link[Peer] | None = None

    class Settings:
        name = "members"
