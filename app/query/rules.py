"""The documents that a rule is for, as conditions: its `where`, read like the query of a list.

It is read against the resource as it is declared, for a rule may ask for what its caller can't see.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

from app.errors import Invalid
from app.query.conditions import AnyCondition, FilterCondition, LinkedCondition
from app.query.names import Names
from app.query.parameters import parameters_of
from app.query.reader import QueryReader
from app.resources.views import Rule, Views

# No document; MongoDB knows it without looking at any.
NOTHING = FilterCondition({"_id": {"$in": []}})
_KNOWN = {"keyword": parameters_of("list")["keyword"]}
_log = logging.getLogger("docsheet.views")


def conditions_of(rule: Rule, collection: str, views: Views) -> tuple[AnyCondition, ...]:
    """The conditions that a rule puts below every query of a collection.

    What can't be read as conditions matches nothing, nor does an empty value, which would be none.
    """
    if rule.nothing:
        return (NOTHING,)
    whole = views.everything
    names = Names(whole[collection], whole)
    texts: dict[str, list[str]] = {}
    for name, text in rule.where:
        texts.setdefault(name, []).append(text)
    found: list[AnyCondition] = []
    for name, values in texts.items():
        found += _read(names, name, values)
    return tuple(
        replace(one, of_rule=True) if isinstance(one, LinkedCondition) else one for one in found
    )


def _read(names: Names, name: str, texts: Sequence[str]) -> Sequence[AnyCondition]:
    """The conditions of one parameter: one for each text, of a list one for all."""
    reader = QueryReader(names, [(name, text) for text in texts], _KNOWN)
    found = reader.conditions()
    try:
        reader.finish()
    except Invalid as error:
        _log.warning("a rule for %s matches nothing: %s", names.resource.name, error.detail)
        return (NOTHING,)
    lookup = names.find_lookup(name)
    is_list = lookup is not None and lookup.operator.takes == "values"
    return found if len(found) == (1 if is_list else len(texts)) else (NOTHING,)
