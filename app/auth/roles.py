"""Roles: a document that says who may do what, checked against the resources, and for one account.

A role's `rules` are by resource, by its address, `*` for those that aren't named:

    {"users": {"read": {"where": "profile.region={account.region}", "hide": ["email"]},
               "update": {"where": "profile.region={account.region}", "fields": ["name"]},
               "export": true},
     "*": {}}

`Roles.read` finds what can't be true in it; what is at fault is closed, and the rest holds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.api.callers import BUILT_IN_ROLES
from app.auth.patterns import Judge, trust
from app.auth.placeholders import Pairs, attributes_of, fill, find_faults, split
from app.errors import Fault
from app.query.names import Names
from app.resources.faults import Steps, pointer
from app.resources.registry import Resource
from app.resources.views import WHOLE, Grants, Rights, Rule, Views
from app.spelling import suggest_nearest

ADMIN, EDITOR, VIEWER = BUILT_IN_ROLES
OTHERS = "*"  # the resources that a role doesn't name
WHERE, FIELDS, HIDE = "where", "fields", "hide"
ACTIONS = {  # and what a rule of each may say
    "read": (WHERE, FIELDS, HIDE),
    "create": (WHERE, FIELDS, HIDE),
    "update": (WHERE, FIELDS, HIDE),
    "delete": (WHERE,),
}
FLAGS = ("export", "import")
BUILT_IN_RULES: dict[str, dict[str, Any]] = {  # of the roles that are always there
    ADMIN: {OTHERS: dict.fromkeys((*ACTIONS, *FLAGS), True)},
    EDITOR: {OTHERS: dict.fromkeys((*ACTIONS, *FLAGS), True)},
    VIEWER: {OTHERS: {"read": True, "export": True}},
}
_ALONE = {
    "export": "An export shows what `read` shows; allow that too.",
    "import": "An import writes what `create` and `update` may write; allow one of them too.",
}
MAX_PATHS = 1_000  # of `fields` or `hide`


@dataclass(frozen=True)
class Template:
    """A rule whose placeholders are not filled yet."""

    names: Names
    where: Pairs = ()
    fields: tuple[str, ...] | None = None
    hide: tuple[str, ...] = ()

    def rule(self, account: Mapping[str, Any]) -> Rule:
        """The rule for one account, as it is stored."""
        filled = fill(self.names, self.where, attributes_of(account))
        if filled is None:
            return Rule(fields=self.fields, hide=self.hide, nothing=True)
        if not filled and self.fields is None and not self.hide:
            return WHOLE
        return Rule(filled, self.fields, self.hide)


@dataclass(frozen=True)
class Role:
    """A role as far as it can be true; `allowed` is by collection, then by action.

    `faults` are what can't be true, each with its place in the document; that rule is closed.
    """

    name: str
    allowed: Mapping[str, Mapping[str, Template | bool]]
    faults: tuple[Fault, ...] = field(default=(), compare=False)

    @property
    def is_admin(self) -> bool:
        """Whether it is the one that may do everything here."""
        return self.name == ADMIN

    def grants(self, account: Mapping[str, Any]) -> Grants:
        """What an account with this role may do, by collection; nothing elsewhere."""
        return Grants.make(
            {name: _make_rights(allowed, account) for name, allowed in self.allowed.items()}
        )


def _make_rights(allowed: Mapping[str, Template | bool], account: Mapping[str, Any]) -> Rights:
    rules: dict[str, Rule | None] = dict.fromkeys(ACTIONS)
    for action, template in allowed.items():
        if isinstance(template, Template):
            rules[action] = template.rule(account)
    return Rights(
        rules["read"],
        rules["create"],
        rules["update"],
        rules["delete"],
        export="export" in allowed,
        import_="import" in allowed,
    )


class Roles:
    """What reads roles for some resources."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self.resources = {resource.address: resource for resource in resources}
        views = Views(self.resources.values())
        self._names = {
            address: Names(views[resource.name], views)
            for address, resource in self.resources.items()
        }

    def read(self, name: str, rules: Any, judge: Judge = trust) -> Role:
        """The role of these rules, as far as it can be true.

        `judge` says which regular expressions can't be.
        """
        reader = _RuleReader(self.resources, self._names, judge)
        allowed = reader.read(rules)
        return Role(name, allowed, tuple(_once(reader.faults)))

    def find(self, name: str, document: Mapping[str, Any] | None, judge: Judge = trust) -> Role:
        """The role of this name, given as it is stored; one that isn't there allows nothing."""
        if name in BUILT_IN_RULES:
            return self.read(name, BUILT_IN_RULES[name])
        return self.read(name, (document or {}).get("rules", {}), judge)

    def problems(
        self, documents: Iterable[Mapping[str, Any]], judge: Judge = trust
    ) -> Iterator[str]:
        """What is closed in stored roles, for it is not true any more: a sentence each."""
        for document in documents:
            role = self.read(str(document.get("name")), document.get("rules"), judge)
            for fault in role.faults:
                yield f"The role {role.name!r} is closed at {fault.pointer}: {fault.detail}"


def _once(faults: Iterable[Fault]) -> Iterator[Fault]:
    """The first fault of each place: a rule of `*` is read for several resources."""
    places = set()
    for fault in faults:
        if fault.pointer not in places:
            places.add(fault.pointer)
            yield fault


class _RuleReader:
    """One reading of a role's rules; what is wrong is kept in `faults`."""

    def __init__(
        self, resources: Mapping[str, Resource], names: Mapping[str, Names], judge: Judge
    ) -> None:
        self.faults: list[Fault] = []
        self._resources = resources
        self._names = names
        self._judge = judge

    def read(self, rules: Any) -> dict[str, dict[str, Template | bool]]:
        """What is allowed, by collection, then by action."""
        if not isinstance(rules, Mapping):
            self._add(("rules",), "This must be an object: rules by resource.")
            return {}
        self._refuse_unknown(rules)
        allowed = {}
        for address, resource in self._resources.items():
            key = address if address in rules else OTHERS
            steps = ("rules", key)
            allowed[resource.name] = self._read_rules(address, rules.get(key, {}), steps)
        return allowed

    def _refuse_unknown(self, rules: Mapping[str, Any]) -> None:
        for name in rules:
            if name != OTHERS and name not in self._resources:
                near = suggest_nearest(name, self._resources)
                self._add(("rules", name), f"There is no resource {name!r}.{near}")

    def _read_rules(self, address: str, rules: Any, steps: Steps) -> dict[str, Template | bool]:
        """The actions that the rules of one resource allow."""
        if not isinstance(rules, Mapping):
            self._add(steps, "This must be an object: what is allowed, by action.")
            return {}
        allowed: dict[str, Template | bool] = {}
        for action, rule in rules.items():
            value = self._read_action(address, action, rule, (*steps, action))
            if value:
                allowed[action] = value
        self._refuse_alone("export", ("read",), rules, allowed, steps)
        self._refuse_alone("import", ("create", "update"), rules, allowed, steps)
        return allowed

    def _refuse_alone(
        self,
        flag: str,
        needed: tuple[str, ...],
        rules: Mapping[str, Any],
        allowed: dict[str, Template | bool],
        steps: Steps,
    ) -> None:
        """Takes away a flag that none of the actions stands behind; a fault where none is asked."""
        if flag not in allowed or any(action in allowed for action in needed):
            return
        del allowed[flag]
        if not any(rules.get(action) for action in needed):
            self._add((*steps, flag), _ALONE[flag])

    def _read_action(
        self, address: str, action: str, rule: Any, steps: Steps
    ) -> Template | bool | None:
        if action in FLAGS and isinstance(rule, bool):
            return rule
        if action in FLAGS:
            self._add(steps, "This must be true or false.")
            return None
        if action not in ACTIONS:
            near = suggest_nearest(action, (*ACTIONS, *FLAGS))
            self._add(steps, f"There is no action {action!r}.{near}")
            return None
        if isinstance(rule, bool):
            return Template(self._names[address]) if rule else None
        return self._read_rule(address, action, rule, steps)

    def _read_rule(self, address: str, action: str, rule: Any, steps: Steps) -> Template | None:
        """The rule of one action; None where anything in it is at fault."""
        before = len(self.faults)
        known = ACTIONS[action]
        if not isinstance(rule, Mapping) or not rule:
            self._add(steps, f"This must be true, false, or an object with {_join(known)}.")
            return None
        for word in rule:
            if word not in known:
                near = suggest_nearest(word, known)
                self._add((*steps, word), f"A rule of {action!r} has {_join(known)} only.{near}")
        where = self._read_where(address, rule, steps)
        fields = self._read_paths(address, action, FIELDS, rule, steps)
        hide = self._read_paths(address, action, HIDE, rule, steps)
        if fields is not None and hide is not None:
            self._add((*steps, HIDE), "A rule has either `fields` or `hide`.")
        if len(self.faults) > before:
            return None
        return Template(self._names[address], where, fields, hide or ())

    def _read_where(self, address: str, rule: Mapping[str, Any], steps: Steps) -> Pairs:
        if WHERE not in rule:
            return ()
        where, place = rule[WHERE], (*steps, WHERE)
        if not isinstance(where, str):
            self._add(place, "This must be a text: the query string of a list.")
            return ()
        try:
            pairs = split(where)
        except ValueError as error:
            self._add(place, f"This {error}.")
            return ()
        for detail in find_faults(self._names[address], pairs, self._judge):
            self._add(place, self._with_resource(address, detail, steps))
        return pairs

    def _read_paths(
        self, address: str, action: str, word: str, rule: Mapping[str, Any], steps: Steps
    ) -> tuple[str, ...] | None:
        """The paths of `fields` or `hide`; None where the rule has none."""
        if word not in rule or word not in ACTIONS[action]:
            return None
        paths = rule[word]
        if not isinstance(paths, list) or len(paths) > MAX_PATHS:
            self._add((*steps, word), f"This must be a list of at most {MAX_PATHS:,} fields.")
            return ()
        known = _list_paths(self._resources[address], action)
        for number, path in enumerate(paths):
            reason = _refuse_path(path, known, action, word)
            if reason:
                place = (*steps, word, number)
                self._add(place, self._with_resource(address, reason, steps))
        return tuple(map(str, paths))

    def _with_resource(self, address: str, detail: str, steps: Steps) -> str:
        """The sentence, which says of a rule of `*` for which resource it can't be true."""
        return f"{address}: {detail}" if steps[1] == OTHERS else detail

    def _add(self, steps: Steps, detail: str) -> None:
        self.faults.append(Fault(detail, pointer=pointer(steps)))


def _list_paths(resource: Resource, action: str) -> frozenset[str]:
    """The declared paths that a rule of this action may name.

    What the model excludes can be written, and never read.
    """
    walked = resource.shape.walk(excluded=action != "read")
    return frozenset(found.path for found in walked)


def _refuse_path(path: Any, known: frozenset[str], action: str, word: str) -> str:
    """Why a path can't be in a rule; nothing where it can."""
    if not isinstance(path, str) or path not in known:
        near = suggest_nearest(path, known) if isinstance(path, str) else ""
        return f"There is no field {path!r}.{near}"
    if path == "_id" and word == HIDE:
        return "`_id` may always be read." if action == "read" else "`_id` can't be hidden."
    return ""


def _join(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
