"""Saved views: lists that somebody gave a name, kept by the address that asks for them.

A view is its owner's, or for all who may ask for what its address asks; it gives nobody more than
the address alone would. It is stored with its slug as `_id`.
"""

import datetime
import re
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pymongo import ReadPreference

from app.api.parts import Part
from app.api.subrequests import MAX_ADDRESS
from app.errors import Conflict, Fault, NotFound
from app.resources.moments import now
from app.store.client import Connection, Database

COLLECTION = "docsheet.views"
MAX_VIEWS = 1_000  # views of one owner
RECENT_SECONDS = 1.0  # that a table may lack a view which another process has saved
MAX_RECENT = 1_000  # lists of views that are kept for so long
MAX_NAME = 100  # characters of a name, and of a slug
_is_slug = re.compile(r"[^\W_]+(?:-[^\W_]+)*").fullmatch
_between = re.compile(r"[\W_]+")


def make_slug(name: str) -> str:
    """The last step of the address of a view with this name, empty where it has no letter or digit.

    Letters and digits of any script stay: `北京 2026` is at `/views/北京-2026`.
    """
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())
    return _between.sub("-", text)[:MAX_NAME].strip("-")


def read_slug(text: str) -> str:
    """The slug that a text is, in lower case; raises `ValueError` where it is none."""
    slug = unicodedata.normalize("NFC", text).casefold()
    if not _is_slug(slug):
        raise ValueError("a slug is of letters and digits with single hyphens between them")
    return slug


def _check_name(name: str) -> str:
    if not name.isprintable() or name != name.strip():
        raise ValueError(
            "a name has no control character, and neither begins nor ends with a space"
        )
    return name


Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(_check_name)]
Slug = Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(read_slug)]
Place = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_ADDRESS,
        description="The path of a list with its query, such as `/users/?age__gte=18&sort=name`.",
    ),
]


class NewView(BaseModel):
    """A view that is to be saved."""

    model_config = ConfigDict(extra="forbid")

    name: Name = Field(description="What people call it.")
    slug: Slug | None = Field(
        None, description="The last step of its address; made from the name without it."
    )
    address: Place
    for_all: bool = Field(
        False, description="Whether all who may ask for this address find the view."
    )


class ChangedView(BaseModel):
    """What is to be different of a view."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    address: Place = ""
    for_all: bool = False


@dataclass(frozen=True)
class SavedView:
    """One view; `resource` is the address of what it lists, `owner` the key of a caller."""

    slug: str
    name: str
    address: str
    resource: str
    for_all: bool
    owner: str
    created: datetime.datetime
    changed: datetime.datetime

    @property
    def query(self) -> str:
        """The query string of its address."""
        return self.address.partition("?")[2]

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "SavedView":
        """The view that is stored so."""
        words = {one.name: stored[one.name] for one in fields(cls) if one.name != "slug"}
        return cls(slug=stored["_id"], **words)

    def to_stored(self) -> dict[str, Any]:
        """What is stored of it."""
        words = asdict(self)
        return {"_id": words.pop("slug"), **words}


class SavedViews(Part):
    """The views of a database."""

    def __init__(self) -> None:
        self._recent: dict[tuple[str, str], tuple[float, Sequence[SavedView]]] = {}
        self._writes = 0  # of this process

    async def open(self, database: Database) -> None:
        """Takes the views from this database."""
        self._database = database
        # Whatever MONGO_URI prefers: a secondary may not know yet what was saved a moment ago.
        self._views = database.collection(COLLECTION).with_options(
            read_preference=ReadPreference.PRIMARY
        )

    async def list(self, owner: str, resource: str | None = None) -> "list[SavedView]":
        """The views of an owner and those for all, by name; with `resource` those of that one."""
        condition: dict[str, Any] = {"$or": [{"owner": owner}, {"for_all": True}]}
        if resource is not None:
            condition["resource"] = resource
        found = await self._database.run(_find, self._views, condition)
        return sorted(found, key=lambda view: (view.name.casefold(), view.slug))

    async def list_recent(self, owner: str, resource: str) -> Sequence[SavedView]:
        """The same as of a second ago, but with all that this process has written since."""
        key, asked = (owner, resource), time.monotonic()
        since, kept = self._recent.get(key, (float("-inf"), ()))
        if asked - since < RECENT_SECONDS:
            return kept
        writes = self._writes
        found = await self.list(owner, resource)
        if len(self._recent) >= MAX_RECENT:
            self._recent.clear()
        if writes == self._writes:
            self._recent[key] = asked, found
        return found

    async def _write(self, write: Callable[..., Any], *words: Any) -> Any:
        try:
            return await self._database.run(write, *words, writing=True)
        finally:
            self._writes += 1
            self._recent.clear()

    async def read(self, slug: str) -> SavedView:
        """The view with this slug, whosever it is; raises `NotFound`."""
        stored = await self._database.run(self._views.find_one, {"_id": _fold(slug)})
        if stored is None:
            raise make_unknown(slug)
        return SavedView.of(stored)

    async def insert(self, view: SavedView) -> None:
        """Stores a new view.

        Raises `Conflict` where its slug is taken, and where its owner has too many.
        """
        count = self._views.count_documents
        if await self._database.run(count, {"owner": view.owner}, limit=MAX_VIEWS) >= MAX_VIEWS:
            raise Conflict(f"{MAX_VIEWS:,} views are saved already; delete some of them first.")
        try:
            insert = self._views.insert_one
            await self._write(insert, view.to_stored())
        except Conflict:
            detail = f"There is a view at {view.slug!r} already; say another slug."
            raise Conflict(detail, Fault(detail, pointer="#/slug")) from None

    async def change(self, view: SavedView, **values: Any) -> SavedView:
        """Changes a view; how it is now. Raises `NotFound` where it was deleted meanwhile."""
        values["changed"] = now()
        update = self._views.update_one
        condition = {"_id": view.slug, "owner": view.owner}
        done = await self._write(update, condition, {"$set": values})
        if not done.matched_count:
            raise make_unknown(view.slug)
        return replace(view, **values)

    async def delete(self, view: SavedView) -> None:
        """Deletes a view, if it is still there."""
        condition = {"_id": view.slug, "owner": view.owner}
        await self._write(self._views.delete_one, condition)


def find_view(database: Connection, slug: str) -> SavedView | None:
    """The view with this slug, whosever it is, for commands; None where there is none."""
    stored = database.collection(COLLECTION).find_one({"_id": _fold(slug)})
    return SavedView.of(stored) if stored is not None else None


def delete_views_of(database: Connection, owner: str) -> None:
    """Deletes the views that nobody but this owner could find."""
    database.collection(COLLECTION).delete_many({"owner": owner, "for_all": False})


def _find(views: Any, condition: dict[str, Any]) -> list[SavedView]:
    stored: Iterable[Mapping[str, Any]] = views.find(condition)
    return [SavedView.of(one) for one in stored]


def _fold(slug: str) -> str:
    return unicodedata.normalize("NFC", slug).casefold()


def make_unknown(slug: str) -> NotFound:
    """404 for a view that isn't there, or is another's."""
    return NotFound(f"There is no view {slug!r}; GET /views/ lists those that there are.")
