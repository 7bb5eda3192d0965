"""The buttons of a form besides saving: they change the form, and nothing that is stored.

A button is a word and the name of a node, of a row also its number: `up /profile/addresses 1`, of
a link the `_id` that is chosen.
"""

from collections.abc import Callable

from app.errors import BadRequest
from app.pages.form_nodes import Group, Leaf, Node, Rows, join


def act(form: Group, order: str) -> None:
    """Does what a button says; raises `BadRequest` for what no button says."""
    word, _, rest = order.partition(" ")
    name, _, number = rest.partition(" ")
    node = next((one for one in form.walk() if one.name == name), None)
    if node is not None and word in _OF_NODES and not number:
        _OF_NODES[word](node)
    elif isinstance(node, Rows) and word in _OF_ROWS and number.isascii() and number.isdigit():
        _OF_ROWS[word](node, int(number))
    elif isinstance(node, Rows) and word == "add":
        _add(node)
    elif isinstance(node, Leaf) and word == "pick":
        node.text, node.focus = number, "control"
    else:
        raise BadRequest("The form has no such button.")
    form.rename("")


def _clear(node: Node) -> None:
    node.state, node.focus = "missing", "undo"
    _forget_text(node)


def _nullify(node: Node) -> None:
    node.state, node.focus = "null", "undo"
    _forget_text(node)


def _forget_text(node: Node) -> None:
    if isinstance(node, Leaf):
        node.text = ""
    if isinstance(node, Rows):
        node.rows = []


def _add(rows: Rows) -> None:
    rows.state = "value"
    row = rows.make(join(rows.name, str(len(rows.rows))))
    leaf = next((one for one in row.node.walk() if isinstance(one, Leaf)), row.node)
    (row.node if rows.is_map else leaf).focus = "row"
    rows.rows.append(row)


def _move(rows: Rows, number: int, by: int) -> None:
    """Moves a row, if there is a place to go to."""
    other = number + by
    if number < len(rows.rows) and 0 <= other < len(rows.rows):
        rows.rows[number], rows.rows[other] = rows.rows[other], rows.rows[number]
        rows.rows[other].node.focus = "up" if by < 0 else "down"


def _drop(rows: Rows, number: int) -> None:
    if number < len(rows.rows):
        del rows.rows[number]
        rows.focus = "add"


_OF_NODES: dict[str, Callable[[Node], None]] = {"clear": _clear, "null": _nullify}
_OF_ROWS: dict[str, Callable[[Rows, int], None]] = {
    "up": lambda rows, number: _move(rows, number, -1),
    "down": lambda rows, number: _move(rows, number, 1),
    "drop": _drop,
}
