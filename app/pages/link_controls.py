"""The controls of links in a form: documents are found by what they are called."""

from collections.abc import Mapping
from urllib.parse import quote

from starlette.requests import Request

from app.api.router import ResourceRouter
from app.errors import Forbidden, Unavailable
from app.pages import addresses
from app.pages.form_nodes import Group, Leaf
from app.pages.inputs import Key
from app.pages.linked import Linked, Names
from app.pages.picks import Picks


class LinkControls:
    """Finds documents to link to, among those that the caller may read."""

    def __init__(self, routers: Mapping[str, ResourceRouter], picks: Picks) -> None:
        self._resources = {one.resource.name: one.resource for one in routers.values()}
        self._picks = picks

    async def find(self, request: Request, form: Group, name: str) -> None:
        """Finds what may be meant by the text in a link's control."""
        for node in _list_links(form):
            if node.name == name:
                assert isinstance(node.input, Key)
                if not self._picks.may_read(request, node.input.collection):
                    continue
                node.picks = await self._picks.find(request, node.input.collection, node.text)
                node.focus = "control"

    async def read_names(self, request: Request, form: Group) -> None:
        """Puts the `_id` in the place of what a document is called, where just one is called so."""
        for node in _list_links(form):
            assert isinstance(node.input, Key)
            if not node.text.strip() or node.is_untouched:
                continue
            try:
                picks = await self._picks.find(request, node.input.collection, node.text.strip())
            except (Unavailable, Forbidden):  # what is wrong is said where it is saved
                return
            called = [pick for pick in picks if pick.name == node.text.strip()]
            if all(pick.key != node.text.strip() for pick in picks):
                node.picks = picks
                node.text = called[0].key if len(called) == 1 else node.text

    async def name(self, request: Request, form: Group) -> Names:
        """What the links in a form lead to."""
        texts: dict[str, list[str]] = {}
        for node in _list_links(form):
            if node.text and isinstance(node.input, Key):
                texts.setdefault(node.input.collection, []).append(node.text)
        names = Names()
        for collection, keys in texts.items():
            found = await self._picks.name(request, collection, list(dict.fromkeys(keys)))
            for key, name in found.items():
                address = f"{self._find_path(collection)}{quote(key, safe='')}"
                names.known[collection, key] = Linked(name, address)
        return names

    def find_script_address(self, request: Request, collection: str) -> str:
        """Where a script finds documents to link to; empty where the caller may read none."""
        may_read = self._picks.may_read(request, collection)
        return f"{self._find_path(collection)}pick" if may_read else ""

    def _find_path(self, collection: str) -> str:
        """Where the screens of the documents of a collection are."""
        return addresses.of_collection(self._resources[collection])


def _list_links(form: Group) -> list[Leaf]:
    """The controls of links in a form."""
    leaves = (node for node in form.walk() if isinstance(node, Leaf))
    return [leaf for leaf in leaves if isinstance(leaf.input, Key)]
