"""The pages as a part of the server: their routes, and what they are made of."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.api import requests
from app.api.downloads import Downloads
from app.api.import_runs import ImportRuns
from app.api.pages import NEXT, UI, check_next, is_auth_resource, is_issued, path_of_pages
from app.api.router import ResourceRouter
from app.api.routing import Handler, Route
from app.api.saved_lists import SavedLists
from app.pages.administration import Administration
from app.pages.assets import Assets
from app.pages.bulk import Bulk
from app.pages.chooser import Chooser
from app.pages.collections import Collections
from app.pages.documents import Documents
from app.pages.downloads import DownloadScreens
from app.pages.editing import Editing
from app.pages.facets import Facets
from app.pages.filters import Filters
from app.pages.forms import read_form
from app.pages.home import Home
from app.pages.import_uploads import ImportUploads
from app.pages.importing import Importing
from app.pages.imports import Imports
from app.pages.languages import CODES
from app.pages.picks import Picks
from app.pages.preferences import LANGUAGE, THEME, THEMES, remember
from app.pages.problems import Problems
from app.pages.saved import SavedScreens
from app.pages.screens import Screens
from app.settings import Settings

OfResource = Callable[[Request, ResourceRouter], Awaitable[Response]]
RESERVED = frozenset(("admin", "me", "sign-in", "sign-out", "jobs"))  # also while they are off
CHOICES = {LANGUAGE: CODES, THEME: THEMES}


class Pages:
    """The pages of one server; `routers` are those of its resources, by their address."""

    def __init__(
        self,
        routers: Mapping[str, ResourceRouter],
        settings: Settings,
        runs: ImportRuns,
        saved: SavedLists,
        downloads: Downloads,
    ) -> None:
        self._routers = routers
        self._assets = Assets()
        served = {address: router.resource for address, router in routers.items()}
        self.screens = Screens(self._assets, served)
        self.problems = Problems(self.screens)
        self._administration = Administration(self.screens)
        self._has_accounts = settings.has_accounts
        self.importing = Importing(settings, runs)
        self._import_uploads = ImportUploads(self.screens, self.importing, settings)
        self._imports = Imports(self.screens, self.importing, settings)
        self.home = Home(routers, self.screens, saved, has_docs=settings.DOCS != "off")
        self._collections = Collections(routers, self.screens, saved)
        picks = Picks(routers)
        self._filters = Filters(self._collections, self.screens, picks)
        self._facets = Facets(self._collections, self.screens, picks)
        self._chooser = Chooser(self._collections, self.screens)
        self._saved = SavedScreens(saved, self.screens)
        self._downloads = DownloadScreens(downloads, self.screens)
        self._bulk = Bulk(routers, self.screens)
        self.documents = Documents(routers, self.screens)
        self.editing = Editing(routers, self.screens, picks, settings.body_limit)

    def routes(self) -> list[Route]:
        """The routes of all screens."""
        of_resources = [one for router in self._routers.values() for one in self._routes_of(router)]
        return [*self._routes_of_server(), *of_resources]

    @property
    def reserved(self) -> frozenset[str]:
        """The steps below `/ui` that are no resource's."""
        taken = {route.path.split("/")[2] for route in self._routes_of_server() if route.path != UI}
        return frozenset(taken) | RESERVED

    def _routes_of_server(self) -> list[Route]:
        """The routes of what belongs to no resource."""
        return [
            *self._assets.routes(),
            Route(f"{UI}/", {"GET": self.home.show}),
            Route(UI, {"GET": self.home.show}),
            Route(f"{UI}/preferences", {"POST": self.prefer}),
            *(self._routes_of_administration() if self._has_accounts else ()),
        ]

    def _routes_of_administration(self) -> list[Route]:
        return [
            Route(f"{UI}/admin/", {"GET": self._administration.show}),
            Route(f"{UI}/admin", {"GET": self._administration.show}),
        ]

    def _routes_of(self, router: ResourceRouter) -> list[Route]:
        def of(handler: OfResource) -> Handler:
            return lambda request: handler(request, router)

        path = path_of_pages(router.resource)
        routes = [
            Route(f"{path}/", {"GET": of(self._collections.show)}),
            Route(path, {"GET": of(self._collections.lead)}),
            Route(f"{path}/table/filter", {"GET": of(self._filters.show)}),
            Route(f"{path}/pick", {"GET": of(self.editing.pick)}),
            Route(f"{path}/table/columns", {"GET": of(self._chooser.show)}),
            Route(f"{path}/table/facets", {"GET": of(self._facets.show)}),
            *self._routes_of_downloads(path, of),
        ]
        if not is_auth_resource(router.resource):
            routes += self._routes_of_views(path, of)
            routes += self._routes_of_many(router, of)
        if not (router.resource.options.read_only or is_auth_resource(router.resource)):
            routes += self._routes_of_imports(path, of)
        if not router.resource.options.read_only:
            routes += self._routes_of_writing(router, of)
        # What is not another screen below the collection is a document.
        return [*routes, Route(f"{path}/{{key}}", {"GET": of(self.documents.show)})]

    def _routes_of_writing(
        self, router: ResourceRouter, of: Callable[[OfResource], Handler]
    ) -> list[Route]:
        """The routes of the forms of documents; what is made of less has other forms."""
        editing, path = self.editing, path_of_pages(router.resource)
        new = {"GET": of(editing.start), "POST": of(editing.create)}
        edit = {"GET": of(editing.edit), "POST": of(editing.save)}
        delete = {"GET": of(self.documents.ask), "POST": of(self.documents.delete)}
        routes = [Route(f"{path}/{{key}}/edit", edit), Route(f"{path}/{{key}}/delete", delete)]
        is_made = is_issued(router.resource)
        return routes if is_made else [Route(f"{path}/new", new), *routes]

    def _routes_of_downloads(self, path: str, of: Callable[[OfResource], Handler]) -> list[Route]:
        """The routes of a collection's downloads."""
        screens = self._downloads
        return [
            Route(f"{path}/download", {"GET": of(screens.show), "POST": of(screens.choose)}),
            Route(f"{path}/download/{{id}}/{{format}}", {"GET": of(screens.start)}),
        ]

    def _routes_of_imports(self, path: str, of: Callable[[OfResource], Handler]) -> list[Route]:
        """The routes of the steps of an import."""
        uploads, imports, path = self._import_uploads, self._imports, f"{path}/import"
        return [
            Route(path, {"GET": of(uploads.show), "POST": of(uploads.upload)}),
            Route(f"{path}/{{token}}", {"GET": of(imports.resume)}),
            Route(f"{path}/{{token}}/{{step}}", {"GET": of(imports.show), "POST": of(imports.do)}),
        ]

    def _routes_of_many(
        self, router: ResourceRouter, of: Callable[[OfResource], Handler]
    ) -> list[Route]:
        """The routes of what is done with several documents."""
        bulk, path = self._bulk, f"{path_of_pages(router.resource)}/bulk"
        routes = [Route(path, {"GET": of(bulk.show)})]
        if not router.resource.options.read_only:
            routes.append(Route(f"{path}/change", {"POST": of(bulk.change)}))
            routes.append(Route(f"{path}/delete", {"POST": of(bulk.delete)}))
        return routes

    def _routes_of_views(self, path: str, of: Callable[[OfResource], Handler]) -> list[Route]:
        """The routes of a collection's saved views."""
        views = f"{path}/views"
        return [
            Route(views, {"GET": of(self._saved.show), "POST": of(self._saved.save)}),
            Route(f"{views}/{{slug}}", {"POST": of(self._saved.change)}),
            Route(f"{views}/{{slug}}/delete", {"POST": of(self._saved.delete)}),
        ]

    async def prefer(self, request: Request) -> Response:
        """`POST /ui/preferences`: another language or theme, and back to where the reader was."""
        requests.refuse_parameters(request)
        form = await read_form(request)
        response = RedirectResponse(
            f"{request.scope.get('root_path', '')}{check_next(form.get(NEXT, ''))}",
            HTTPStatus.SEE_OTHER,
        )
        for name, words in CHOICES.items():
            if form.get(name) in words:
                remember(request, response, name, form[name])
        return response
