"""The parameters of an address that are conditions: how they are named."""

from app.query.names import Lookup, Names


def ask(names: Names, path: str, operator: str) -> Lookup | None:
    """The condition with this path and operator, None where it can't be."""
    asked = names.find_lookup(f"{path}__{operator}") if path and operator else None
    is_same = asked is not None and (asked.path, asked.operator.name) == (path, operator)
    return asked if is_same else None


def name_condition(names: Names, path: str, operator: str) -> str:
    """The parameter with this path and operator, empty where it can't be; `age` for `age__eq`."""
    if ask(names, path, operator) is None:
        return ""
    bare = names.find_lookup(path) if operator == "eq" else None
    return path if bare is not None and bare.path == path else f"{path}__{operator}"
