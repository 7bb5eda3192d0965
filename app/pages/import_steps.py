"""The steps of an import: which one is due, their addresses, and what all their screens have."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from app.api.access import Access
from app.pages import addresses
from app.pages.languages import N_
from app.pages.screens import Screens
from app.resources.registry import Resource
from app.transfers.kept_imports import Kept

UPLOAD: Final = "upload"
MATCH: Final = "match"
PREVIEW: Final = "preview"
IMPORT: Final = "import"
REPORT: Final = "report"
NAMES = {
    UPLOAD: N_("Upload"),
    MATCH: N_("Match"),
    PREVIEW: N_("Preview"),
    IMPORT: N_("Import"),
    REPORT: N_("Report"),
}


@dataclass(frozen=True)
class Step:
    """A step as the top of its screen shows it; without an address it can't be gone to."""

    name: str
    address: str | None
    is_current: bool


def render_step(
    screens: Screens,
    request: Request,
    access: Access,
    step: str,
    kept: Kept | None,
    template: str,
    status: int,
    **words: Any,
) -> Response:
    """The screen of a step; before there is an upload, there is nothing `kept`."""
    resource = access.view.resource
    return screens.render(
        request,
        template,
        status,
        resource=resource,
        access=access,
        kept=kept,
        wizard=_list_steps(resource, step, kept),
        name=NAMES[step],
        names=NAMES,
        base=address_of(resource),
        here=f"{address_of(resource)}/{quote(kept.token)}" if kept is not None else "",
        **words,
    )


def current_step(kept: Kept) -> str:
    """The step at which an import is."""
    run = kept.run
    if run is None:
        return MATCH
    if run.what == PREVIEW:
        return PREVIEW
    return IMPORT if run.state == "running" else REPORT


def can_show(kept: Kept, step: str) -> bool:
    """Whether a step can be gone to: its columns again until it is done, else what is due."""
    if step == MATCH:
        return not kept.is_done and (kept.run is None or kept.run.state != "running")
    return step == current_step(kept)


def _list_steps(resource: Resource, current: str, kept: Kept | None) -> list[Step]:
    base = address_of(resource)
    steps: list[Step] = []
    for step, name in NAMES.items():
        address = None
        if step == UPLOAD:
            address = base
        elif kept is not None and can_show(kept, step):
            address = f"{base}/{quote(kept.token)}/{step}"
        steps.append(Step(name, address, step == current))
    return steps


def address_of(resource: Resource) -> str:
    """The address of the imports of a resource, below the application's root."""
    return f"{addresses.of_collection(resource)}{IMPORT}"


def go(request: Request, access: Access, kept: Kept, step: str) -> Response:
    """Leads to a step of an import, with GET."""
    return addresses.lead_to(
        request, f"{address_of(access.view.resource)}/{quote(kept.token)}/{step}"
    )
