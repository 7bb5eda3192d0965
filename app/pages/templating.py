"""The environment of the templates in one language: what never changes is filled in once.

A message without values, `_('Next')`, and the address of a file, `asset('docsheet.css')`, become
text when the template is compiled, and take no time on any screen.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, nodes
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

Constant = Callable[[str], str]


class Templates(Environment):
    """An environment; `constants` are functions of one text that give the same for ever."""

    def __init__(self, constants: Mapping[str, Constant], **options: Any) -> None:
        super().__init__(**options)
        self._filler = Filler(constants)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        parsed = super()._parse(source, name, filename)
        filled: nodes.Template = self._filler.visit(parsed)
        return filled


class Filler(NodeTransformer):
    """Puts the text in the place of each call of a constant with one text."""

    def __init__(self, constants: Mapping[str, Constant]) -> None:
        self._constants = constants

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        """The call, or its text as markup: what is escaped by nobody must be our own."""
        self.generic_visit(node)
        constant = self._find(node)
        if constant is None:
            return node
        text = constant(node.args[0].as_const())
        return nodes.MarkSafe(nodes.Const(text, lineno=node.lineno), lineno=node.lineno)

    def _find(self, node: nodes.Call) -> Constant | None:
        if not isinstance(node.node, nodes.Name) or len(node.args) != 1:
            return None
        has_more = node.kwargs or node.dyn_args or node.dyn_kwargs
        is_text = isinstance(node.args[0], nodes.Const) and isinstance(node.args[0].value, str)
        return self._constants.get(node.node.name) if is_text and not has_more else None


def fill(message: str) -> str:
    """A message without values as the templates show it, where `%%` stands for `%`."""
    return str(Markup(message) % {})
