"""A download as a screen: what the file will be like is said before the click, how far it is after.

The query is that of the table, or of the export: conditions and sort, `columns` (in place of
`fields`), `timezone` and `unwind`; the other options are words here, one kind of file each.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.api import requests
from app.api.access import Access
from app.api.downloads import Downloads
from app.api.router import EXPORT, ResourceRouter
from app.errors import Fault, Invalid, NotFound, RequestError
from app.pages import addresses
from app.pages.addresses import Pairs
from app.pages.copies import list_copies
from app.pages.dropping import drop_wrong
from app.pages.forms import read_pairs
from app.pages.languages import N_
from app.pages.screens import Screens
from app.query.parameters import fault_of, make_invalid_query
from app.resources.registry import Resource
from app.spreadsheets.formats import FORMATS
from app.spreadsheets.workbook import ROWS
from app.store.lists import ListPage
from app.transfers.exports import Export, ask_for_export
from app.transfers.samples import DOCUMENTS, Sample

COLUMNS, ZONE, UNWIND = "columns", "timezone", "unwind"
_OF_KINDS = ("bom", "delimiter", "formulas", "consistency")  # what the kinds of files decide
_OF_TABLES = (COLUMNS, ZONE, UNWIND)  # what is no condition
_TITLE = "title:"  # before the path of a column, the field with its title
_is_id = re.compile("[0-9a-f]{32}").fullmatch


@dataclass(frozen=True)
class Kind:
    """A kind of file in a reader's words; `options` are what its format takes for that.

    `is_local`: dates and times are in the reader's zone where none is chosen.
    """

    name: str
    format: str
    title: str
    note: str
    options: tuple[tuple[str, str], ...] = ()
    is_local: bool = False

    @property
    def is_table(self) -> bool:
        """Whether it has rows and columns."""
        return FORMATS[self.format].tabular


TABLE, PLAIN = "csv for excel", "csv"  # kinds of which something is asked by name
KINDS = (
    Kind("xlsx", "xlsx", N_("Excel workbook"), N_("numbers, dates and texts as Excel has them"),
         is_local=True),
    Kind(TABLE, "csv", N_("CSV for Excel"), N_("opens with a double click, Chinese included"),
         (("bom", "true"), ("formulas", "escape")), is_local=True),
    Kind(PLAIN, "csv", N_("CSV for programs"), N_("texts exactly as they are stored"),
         (("formulas", "keep"),)),
    Kind("ndjson", "ndjson", N_("JSON, a document on each line"), N_("nested as it is stored")),
    Kind("json", "json", "JSON", N_("one array of all documents")),
)  # fmt: skip


@dataclass(frozen=True)
class Offer:
    """One file that can be downloaded, or `reason` why it can't.

    `address` is the export's own; `known` the same with a place, `{id}`, for an id that is chosen
    before. `size` and `seconds` are estimates, None where nothing is known.
    """

    kind: Kind
    address: str = ""
    known: str = ""
    size: float | None = None
    seconds: float | None = None
    sheets: int = 1
    reason: str = ""


@dataclass(frozen=True)
class Choice:
    """A column that may be chosen."""

    path: str
    title: str
    is_chosen: bool


@dataclass(frozen=True)
class Amount:
    """How many documents there are to download, and how that is known; `keys` are of the first."""

    total: int | None
    strategy: str | None
    keys: tuple[Any, ...]

    @classmethod
    def of(cls, page: ListPage) -> "Amount":
        """What the first page of the list says."""
        keys = tuple(document["_id"] for document in page.documents)
        if page.token is None:  # these are all
            return cls(len(keys), "exact", keys)
        return cls(page.total, page.strategy, keys)


NOTHING_KNOWN = Amount(None, None, ())


class DownloadScreens:
    """The handlers of downloads on the pages."""

    def __init__(self, downloads: Downloads, screens: Screens) -> None:
        self._downloads = downloads
        self._screens = screens

    async def start(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/download/{id}/{format}`: the export, with an id that was chosen before."""
        access = router.access(request, "export")
        export_id = request.path_params["id"]
        if not _is_id(export_id):
            raise NotFound("The id of a download has 32 digits and letters from a to f.")
        return await self._downloads.answer(request, access, export_id=export_id)

    async def choose(self, request: Request, router: ResourceRouter) -> Response:
        """`POST /ui/users/download?…`: other columns, titles or zone; leads to their screen."""
        access = router.access(request, "export")
        form = await read_pairs(request)
        pairs = _read_pairs(requests.pairs(request))
        usual = self._read(access, KINDS[1], _without_choices(pairs)).columns or ()
        chosen = _write_columns(form)
        if chosen == [_write_column(column.path, column.title) for column in usual]:
            chosen = []
        pairs = addresses.replace_pair(pairs, COLUMNS, ",".join(chosen))
        zone = next((value.strip() for name, value in form if name == "zone"), "")
        pairs = addresses.replace_pair(pairs, ZONE, zone)
        path = f"{request.scope.get('root_path', '')}{addresses.of_collection(router.resource)}"
        return RedirectResponse(
            addresses.with_pairs(f"{path}download", pairs), HTTPStatus.SEE_OTHER
        )

    async def show(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/download?…`: the screen; a parameter that is wrong is said and dropped."""
        access = router.access(request, "export")
        return await drop_wrong(
            requests.pairs(request),
            lambda pairs, faults: self._show(request, access, pairs, faults),
        )

    async def _show(
        self, request: Request, access: Access, asked: Pairs, faults: Sequence[Fault]
    ) -> Response:
        resource = access.view.resource
        pairs = _read_pairs(asked)
        table = self._read(access, KINDS[1], pairs)
        amount = await self._count(access, asked)
        screen = self._screens.look(request)
        exports = self._read_all(access, pairs, table, screen.preferences.zone)
        samples = await self._sample(exports, amount)
        offers = [
            self._offer(resource, screen.root, kind, read, amount, samples.get(kind.name))
            for kind, read in exports
        ]
        host = f"{request.scope['scheme']}://{request.headers.get('host', '')}"
        plain = next(one for one in offers if one.kind.name == PLAIN)
        listed = addresses.with_pairs(
            f"{screen.root}/{quote(resource.address)}/",
            addresses.without(asked, *_OF_TABLES, "skip", "after", "count"),
        )
        path = addresses.of_collection(resource)
        return self._screens.render(
            request,
            "download.html",
            HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK,
            name=screen.name_of(resource),
            path=path,
            addresses=addresses,
            pairs=pairs,
            asked=asked,
            faults=faults,
            amount=amount,
            offers=offers,
            sample=samples.get(TABLE),
            cells=ROWS,
            choices=list(_list_choices(resource, table)),
            zone=addresses.value_of(pairs, ZONE),
            exact=_ask_for_exact(f"{path}download", asked, amount),
            with_key=_take_key_along(f"{path}download", pairs, table),
            copies=list(
                list_copies(host + plain.address, host + listed, has_accounts=screen.has_accounts)
            ),
            share=plain.address.removeprefix(screen.root),
        )

    def _read(self, access: Access, kind: Kind, pairs: Pairs) -> Export:
        return self._downloads.read(access, kind.format, _write_pairs(kind, pairs))

    def _read_all(
        self, access: Access, pairs: Pairs, table: Export, zone: str
    ) -> list[tuple[Kind, "tuple[Export, Pairs] | Invalid"]]:
        """The export of each kind with its parameters, or why there can't be one."""
        found: list[tuple[Kind, tuple[Export, Pairs] | Invalid]] = []
        for kind in KINDS:
            asked = _fit(kind, pairs, table, zone)
            try:
                export = self._downloads.read(access, kind.format, asked)
                found.append((kind, (export, asked)))
            except Invalid as error:
                found.append((kind, error))
        return found

    async def _count(self, access: Access, asked: Pairs) -> Amount:
        """How many documents there are, counted as for the table, and the first of them."""
        pairs = addresses.without(asked, *_OF_TABLES, "fields", "expand", *addresses.PAGING)
        query = access.compiler.list(pairs)
        try:
            page = await access.repository.page(
                replace(query, limit=DOCUMENTS, fields=("_id",), expand=())
            )
        except Invalid:
            raise
        except RequestError:  # it can be downloaded all the same
            return NOTHING_KNOWN
        return Amount.of(page)

    async def _sample(
        self,
        exports: Sequence[tuple[Kind, "tuple[Export, Pairs] | Invalid"]],
        amount: Amount,
    ) -> dict[str, Sample]:
        """What the first documents are as a file of each kind, by its name."""
        made = {kind.name: read[0] for kind, read in exports if not isinstance(read, Invalid)}
        try:
            samples = await self._downloads.sample(list(made.values()), amount.keys)
        except RequestError:
            return {}
        return dict(zip(made, samples, strict=True))

    def _offer(
        self,
        resource: Resource,
        root: str,
        kind: Kind,
        read: "tuple[Export, Pairs] | Invalid",
        amount: Amount,
        sample: Sample | None,
    ) -> Offer:
        if isinstance(read, Invalid):
            return Offer(kind, reason=read.faults[0].detail if read.faults else read.detail)
        export, pairs = read
        address = f"{root}/{quote(resource.address)}/{EXPORT}/{kind.format}"
        known = f"{root}{addresses.of_collection(resource)}download/{{id}}/{kind.format}"
        offer = Offer(
            kind, addresses.with_pairs(address, pairs), addresses.with_pairs(known, pairs)
        )
        if sample is None or amount.total is None:
            return offer
        total = amount.total
        return replace(
            offer,
            size=sample.estimate_size(total),
            seconds=self._downloads.estimate_seconds(export, sample, total),
            sheets=max(1, -(-sample.estimate_rows(total) // (ROWS - 1))),
        )


def _read_pairs(asked: Pairs) -> list[tuple[str, str]]:
    """The parameters of the export of what a table shows, without those that are no condition.

    Raises `Invalid` for what the kinds of files decide.
    """
    pairs = ask_for_export(asked)
    faults = [
        fault_of(name, "the kind of file decides this here")
        for name, _ in pairs
        if name in _OF_KINDS
    ]
    if faults:
        raise make_invalid_query(faults)
    return [(name, value) for name, value in pairs if value or name not in _OF_TABLES]


def _without_choices(pairs: Pairs) -> list[tuple[str, str]]:
    return addresses.without(pairs, COLUMNS, ZONE)


def _write_pairs(kind: Kind, pairs: Pairs) -> list[tuple[str, str]]:
    return [*pairs, *kind.options]


def _fit(kind: Kind, pairs: Pairs, table: Export, zone: str) -> list[tuple[str, str]]:
    """The parameters that a kind of file takes; of the others it has what is nearest."""
    if not kind.is_table:
        fitting = addresses.without(pairs, COLUMNS, ZONE, UNWIND)
        if addresses.value_of(pairs, COLUMNS):
            paths = [_escape(column.path) for column in table.columns or ()]
            fitting.append((COLUMNS, ",".join(paths)))
        return fitting
    if kind.is_local and zone != "UTC" and not addresses.value_of(pairs, ZONE):
        pairs = [*pairs, (ZONE, zone)]
    return _write_pairs(kind, pairs)


def _ask_for_exact(path: str, asked: Pairs, amount: Amount) -> str:
    """The address that counts exactly, empty where that is done."""
    if amount.strategy == "exact":
        return ""
    return addresses.with_pairs(path, addresses.replace_pair(asked, "count", "exact"))


def _take_key_along(path: str, pairs: Pairs, table: Export) -> str:
    """The address with the `_id` as the first column, empty where it is one already."""
    if any(column.path == "_id" for column in table.columns or ()):
        return ""
    columns = f"_id,{addresses.value_of(pairs, COLUMNS) or '*'}"
    return addresses.with_pairs(path, addresses.replace_pair(pairs, COLUMNS, columns))


# --- columns ---


def _list_choices(resource: Resource, table: Export) -> Iterator[Choice]:
    """The columns of the file in their order, then all others."""
    chosen = {column.path: column.title for column in table.columns or ()}
    for path, title in chosen.items():
        yield Choice(path, "" if title == path else title, True)
    flat = [found.path for found in resource.shape.list_flat()]
    for path in dict.fromkeys(("_id", *flat)):
        if path not in chosen:
            yield Choice(path, "", False)


def _write_columns(form: Pairs) -> list[str]:
    """The chosen columns as `columns` has them."""
    titles = {
        name.removeprefix(_TITLE): value.strip() for name, value in form if name.startswith(_TITLE)
    }
    paths = [value for name, value in form if name == "column"]
    return [_write_column(path, titles.get(path) or path) for path in dict.fromkeys(paths)]


def _write_column(path: str, title: str) -> str:
    written = _escape(path)
    return written if title == path else f"{written}:{_escape(title)}"


def _escape(text: str) -> str:
    """A path or a title in a list of columns, where these signs mean something."""
    for sign in "%,:":
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text
