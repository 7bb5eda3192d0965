"""The environment of the templates in one language: what never changes is filled in once.

A message without values, `_('Next')`, and the address of a file, `asset('docsheet.css')`, become
text when the template is compiled, and take no time on any screen; so do templates that are
included. Where one of these fails, the line is that of its own file, though the file is said to be
the one that includes it.
"""

from collections.abc import Callable, Mapping
from types import FunctionType, MethodType
from typing import Any

from jinja2 import Environment, nodes
from jinja2.runtime import Context
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

Constant = Callable[[str], str]
_PLAIN = (FunctionType, MethodType)
_OWN_NAMES = (nodes.Extends, nodes.Block, nodes.Import, nodes.FromImport)


class QuickContext(Context):
    """A context that calls functions without a look at what else Jinja could give them."""

    def call(self, function: Callable[..., Any], /, *args: Any, **words: Any) -> Any:
        """What the function returns."""
        if type(function) in _PLAIN and not hasattr(function, "jinja_pass_arg"):
            words.pop("_loop_vars", None)  # which Jinja gives to functions that take a context
            words.pop("_block_vars", None)
            return function(*args, **words)
        return super().call(function, *args, **words)


class Templates(Environment):
    """An environment; `constants` are functions of one text that give the same for ever."""

    context_class = QuickContext

    def __init__(self, constants: Mapping[str, Constant], **options: Any) -> None:
        super().__init__(**options)
        self._constants = constants
        self._open: list[str] = []  # the templates that are being parsed

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        self._open.append(name or "")
        try:
            parsed = super()._parse(source, name, filename)
            filled: nodes.Template = Filler(self._constants, self._read_included).visit(parsed)
            return filled
        finally:
            self._open.pop()

    def _read_included(self, name: str) -> list[nodes.Node] | None:
        """The nodes of a template; None where it has to stay one of its own."""
        if name in self._open or self.loader is None:
            return None
        source, filename, _ = self.loader.get_source(self, name)
        parsed = self._parse(source, name, filename)
        has_own_names = next(parsed.find_all(_OWN_NAMES), None) is not None
        return None if has_own_names else parsed.body


class Filler(NodeTransformer):
    """Puts what never changes in the place of what would find it."""

    def __init__(
        self,
        constants: Mapping[str, Constant],
        read_included: Callable[[str], list[nodes.Node] | None],
    ) -> None:
        self._constants = constants
        self._read_included = read_included

    def visit_Include(self, node: nodes.Include) -> nodes.Node | list[nodes.Node]:
        """The included template, which then also knows what was set where it is included."""
        name = node.template
        if not isinstance(name, nodes.Const) or node.ignore_missing or not node.with_context:
            return node
        return self._read_included(name.value) or node

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
