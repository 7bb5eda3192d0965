"""What may be written of a body, what of a stored document stays, and what an error says of it."""

from typing import Annotated, Any

import bson
import pytest
from beanie import Document, PydanticObjectId
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from app.errors import Conflict, Fault, Forbidden, Invalid
from app.resources.codec import decode
from app.resources.documents import read_document, read_replacement
from app.resources.extents import Extent, extent_of
from app.resources.patches import read_patch
from app.resources.permissions import Permissions
from app.resources.registry import make_resource
from app.resources.storing import to_bson
from app.resources.views import Rights, Rule
from app.store.uniqueness import apply

KEY = bson.ObjectId("5f43a1b2c3d4e5f60718293a")


class Home(BaseModel):
    city: str | None = None
    street: str | None = None


class About(BaseModel):
    bio: str | None = None
    age: int | None = Field(None, ge=0)
    homes: list[Home] = []


class Person(Document):
    name: str
    age: int | None = 18
    free: Any = None
    marks: dict[str, int] = {}  # noqa: RUF012
    about: About | None = None
    secret: str | None = Field(None, exclude=True)

    @model_validator(mode="after")
    def check(self) -> "Person":
        if self.age == 99:
            raise ValueError("an age of 99 is not believed")
        return self


PERSON = make_resource(Person)
STORED = {
    "_id": KEY,
    "name": "Ann",
    "age": 30,
    "free": {"a": 1, "b": 2},
    "marks": {"x": 1, "y": 2},
    "about": {"bio": "b", "age": 7, "homes": [{"city": "Ulm", "street": "A"}]},
    "secret": "s",
    "foreign": 5,
}
RAW = to_bson(STORED)


def only(*paths: str) -> Rule:
    return Rule(fields=paths)


def hide(*paths: str) -> Rule:
    return Rule(hide=paths)


def limits(write: Rule, read: Rule | None = None) -> Permissions | None:
    return Permissions.to_update(Rights(read=read or Rule(), update=write), PERSON.shape)


CUTS = [
    (only("name"), {"name": "Ann"}),
    (only("about.age"), {"about": {"age": 7}}),
    (only("about.homes.city"), {"about": {"homes": [{"city": "Ulm"}]}}),
    (hide("about.homes.city", "free", "foreign", "secret", "marks"),
     {"_id": KEY, "name": "Ann", "age": 30,
      "about": {"bio": "b", "age": 7, "homes": [{"street": "A"}]}}),
    (only("name", "about", "about.age"), {"name": "Ann", "about": STORED["about"]}),
    (hide("about", "about.age"), {name: v for name, v in STORED.items() if name != "about"}),
    (Rule(fields=("about", "name"), hide=("about.homes", "name")),
     {"about": {"bio": "b", "age": 7}}),
    (only("name.first"), {}),
    (only(), {}),
    (hide(), STORED),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "part"), CUTS)
def test_a_rule_covers_its_paths(rule: Rule, part: dict[str, Any]) -> None:
    assert extent_of(rule, PERSON.shape).cut(STORED) == part


def test_all_and_nothing_are_known_as_such() -> None:
    assert extent_of(Rule(fields=("name",), hide=("name",)), PERSON.shape).is_none
    assert extent_of(Rule(), PERSON.shape).is_all
    assert limits(Rule()) is None
    assert limits(Rule(), hide("age")) is not None


class Note(BaseModel):
    text: str = ""
    inside: str = ""
    notes: list["Note"] = []
    first: "Note | None" = None
    named: dict[str, "Note"] = {}
    boxes: list["NoteBox"] = []


class NoteBox(BaseModel):
    label: str = ""
    note: Note | None = None


Note.model_rebuild()


class Noted(Document):
    note: Note | None = None


class NotedInBoxes(Document):
    boxes: list[NoteBox] = []  # noqa: RUF012


NESTED = {"text": "t", "inside": "i", "named": {"x": {"inside": "i"}}}
NOTES = {
    "note": {**NESTED, "first": {**NESTED, "notes": [NESTED]},
             "notes": [{**NESTED, "first": NESTED, "boxes": [{"label": "l", "note": NESTED}]}]}
}  # fmt: skip


def test_a_model_in_itself_hides_the_same_on_every_level() -> None:
    extent = extent_of(hide("note.inside"), make_resource(Noted).shape)
    shown = {"text": "t"}
    below_a_list = extent_of(hide("boxes.note.inside"), make_resource(NotedInBoxes).shape)
    boxes = [{"label": "l", "note": {**NESTED, "notes": [NESTED]}}]
    assert below_a_list.cut({"boxes": boxes}) == {
        "boxes": [{"label": "l", "note": {**shown, "notes": [shown]}}]
    }
    assert extent.cut(NOTES) == {
        "note": {**shown, "first": {**shown, "notes": [shown]},
                 "notes": [{**shown, "first": shown, "boxes": [{"label": "l", "note": shown}]}]}
    }  # fmt: skip


NEW = [  # the rule of create, a body, the pointers of what is refused
    (only("name"), {"name": "Bo"}, []),
    (only("name"), {"name": "Bo", "age": 1}, ["#/age"]),
    (only("name"), {"name": "Bo", "age": None}, ["#/age"]),
    (only("name"), {"name": "Bo", "_id": str(KEY)}, ["#/_id"]),
    (only("name"), {"name": "Bo", "unknown": 1}, ["#/unknown"]),
    (only("name", "_id"), {"name": "Bo", "_id": str(KEY)}, []),
    (hide("about.age"), {"name": "Bo", "about": {"bio": "x", "homes": []}}, []),
    (hide("about.age"), {"name": "Bo", "about": {"age": 1}}, ["#/about/age"]),
    (hide("about.age"), {"name": "Bo", "about": {"age": None}}, ["#/about/age"]),
    (hide("about.age"), {"name": "Bo", "about": None}, []),
    (only("name", "about.age"), {"name": "Bo", "about": {"age": 1}}, []),
    (only("name", "about.age"), {"name": "Bo", "about": {}}, []),
    (only("name", "about.age"), {"name": "Bo", "about": None}, ["#/about"]),
    (hide("about.homes.city"),
     {"name": "Bo", "about": {"homes": [{"street": "B"}, {"city": "Y"}]}},
     ["#/about/homes/1/city"]),
    (hide("free.a"), {"name": "Bo", "free": {"a": 1}}, ["#/free/a"]),
    (hide("free.a"), {"name": "Bo", "free": [{"a": 1}, {"b": 1}]}, ["#/free/0/a"]),
    (hide("marks.x"), {"name": "Bo", "marks": {"x": 1, "y": 1}}, ["#/marks/x"]),
    (hide("secret"), {"name": "Bo", "secret": "x"}, ["#/secret"]),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "body", "pointers"), NEW)
def test_a_new_document_has_what_may_be_created(
    rule: Rule, body: dict[str, Any], pointers: list[str]
) -> None:
    permissions = Permissions.to_create(Rights(read=Rule(), create=rule), PERSON.shape)
    if not pointers:
        assert read_document(PERSON, body, permissions)["name"] == "Bo"
        return
    with pytest.raises(Forbidden) as caught:
        read_document(PERSON, body, permissions)
    assert [fault.pointer for fault in caught.value.faults] == pointers


FORBIDDEN = "403"
ABOUT = STORED["about"]
PATCHES = [  # the rules of update and read, a patch, the document after it or where it is refused
    (only("name"), Rule(), {"name": "Bo"}, {"name": "Bo"}),
    (only("name"), Rule(), {"name": "Bo", "age": 30}, {"name": "Bo"}),
    (only("name"), Rule(), {"name": "Bo", "age": 30.0}, {"name": "Bo"}),
    (only("name"), Rule(), {"name": "Bo", "age": 31}, "#/age"),
    (only("name"), Rule(), {"age": None}, "#/age"),
    (only("name"), Rule(), {"_id": str(KEY), "name": "Bo"}, {"name": "Bo"}),
    (only("name"), Rule(), {"gone": None}, {}),
    (only("name"), only("name"), {"age": 30}, "#/age"),
    (only("name"), only("name"), {"gone": None}, "#/gone"),
    (only("name"), only("name"), {"about": {"age": 7}}, "#/about"),
    (hide("age"), only("name"), {"secret": "new"}, {"secret": "new"}),
    (hide("secret"), Rule(), {"secret": "s"}, "#/secret"),
    (Rule(), hide("age"), {"age": 31}, {"age": 31}),
    (Rule(), hide("about.age"), {"about": None}, "#/about"),
    (Rule(), hide("about.age"), {"about": "text"}, "#/about"),
    (Rule(), hide("about.age"), {"about": {"bio": "c"}}, {"about": {**ABOUT, "bio": "c"}}),
    (Rule(), hide("about.age"), {"about": {"age": 8}}, {"about": {**ABOUT, "age": 8}}),
    (hide("about.age"), Rule(), {"about": {"age": 8}}, "#/about/age"),
    (hide("about.age"), Rule(), {"about": {"age": 7, "bio": "c"}},
     {"about": {**ABOUT, "bio": "c"}}),
    (hide("about.age"), Rule(), {"about": None}, "#/about"),
    (Rule(), hide("about.homes.city"), {"about": {"homes": [{"street": "A"}]}}, {}),
    (Rule(), hide("about.homes.city"), {"about": {"homes": [{"street": "B"}]}}, "#/about/homes"),
    (Rule(), hide("about.homes.city"), {"about": {"homes": []}}, "#/about/homes"),
    (Rule(), hide("about.homes.city"), {"about": {"homes": None}}, "#/about/homes"),
    (Rule(), hide("about.homes.city"), {"about": {"homes": [{"city": "X"}]}}, "#/about/homes"),
    (hide("about.homes.city"), Rule(), {"about": {"homes": [{"city": "X"}]}}, "#/about/homes"),
    (hide("about.homes.city"), Rule(), {"about": {"homes": ABOUT["homes"]}}, {}),
    (hide("free.a"), Rule(), {"free": {"b": 3}}, {"free": {"a": 1, "b": 3}}),
    (hide("free.a"), Rule(), {"free": {"a": None}}, "#/free/a"),
    (hide("free.a"), Rule(), {"free": [1]}, "#/free"),
    (hide("marks.x"), Rule(), {"marks": {"x": None, "y": 5}}, "#/marks/x"),
    (hide("marks.x"), Rule(), {"marks": {"y": 5}}, {"marks": {"x": 1, "y": 5}}),
    (hide("foreign"), Rule(), {"foreign": 5, "age": 1}, {"age": 1}),
    (hide("foreign"), Rule(), {"foreign": 6}, "#/foreign"),
]  # fmt: skip


@pytest.mark.parametrize(("update", "read", "patch", "after"), PATCHES)
def test_a_patch_changes_what_may_be_updated(
    update: Rule, read: Rule, patch: dict[str, Any], after: dict[str, Any] | str
) -> None:
    permissions = limits(update, read)
    if isinstance(after, str):
        with pytest.raises(Forbidden) as caught:
            read_patch(PERSON, patch, RAW, permissions)
        assert [fault.pointer for fault in caught.value.faults] == [after]
    else:
        change = read_patch(PERSON, patch, RAW, permissions)
        assert apply(change, decode(RAW)) == {**STORED, **after}


BODY = {name: value for name, value in STORED.items() if name not in ("_id", "secret", "foreign")}
DEFAULTS = {"age": 18, "free": None, "marks": {}, "about": None, "secret": "s"}
REPLACEMENTS = [  # the rules of update and read, a body, the document after it or where refused
    (Rule(), hide("age"), {"name": "Bo"}, {**DEFAULTS, "name": "Bo", "age": 30}),
    (Rule(), only("name"), {"name": "Bo"}, {**STORED, "name": "Bo"}),
    (Rule(), hide("about.age"), {"name": "Bo"},
     {**DEFAULTS, "name": "Bo", "about": {"bio": None, "age": 7, "homes": []}}),
    (Rule(), hide("about.age"), {**BODY, "about": {"bio": "c", "homes": []}},
     {**BODY, "secret": "s", "about": {"bio": "c", "age": 7, "homes": []}}),
    (Rule(), hide("about.age"), {**BODY, "about": None}, "#/about"),
    (Rule(), hide("about.homes.city"), {**BODY, "about": {"homes": [{"street": "A"}]}},
     {**BODY, "secret": "s", "about": {"bio": None, "age": None, "homes": ABOUT["homes"]}}),
    (Rule(), hide("about.homes.city"), {**BODY, "about": {"bio": "x"}},
     {**BODY, "secret": "s", "about": {"bio": "x", "age": None, "homes": ABOUT["homes"]}}),
    (Rule(), hide("about.homes.city"), {**BODY, "about": {"homes": []}}, "#/about/homes"),
    (only("name"), Rule(), {**BODY, "name": "Bo"}, {**STORED, "name": "Bo"}),
    (only("name"), Rule(), {**BODY, "age": 31}, "#/age"),
    (only("name"), Rule(), {"name": "Bo"}, {**STORED, "name": "Bo"}),
    (only("name", "about.bio"), Rule(), {"name": "Bo"},
     {**STORED, "name": "Bo", "about": {**ABOUT, "bio": None}}),
    (only("name"), only("name"), {"name": "Bo", "age": 30}, "#/age"),
    (hide("secret"), Rule(), {**BODY, "secret": "s"}, "#/secret"),
    (hide("secret"), Rule(), BODY, {**BODY, "secret": "s"}),
    (hide("free.a"), Rule(), {**BODY, "free": {"a": 1, "c": 3}},
     {**BODY, "secret": "s", "free": {"a": 1, "c": 3}}),
    (hide("free.a"), Rule(), {**BODY, "free": {"c": 3}},
     {**BODY, "secret": "s", "free": {"c": 3, "a": 1}}),
    (hide("free.a"), Rule(), {**BODY, "free": None}, "#/free"),
    (hide("marks.x"), hide("marks.x"), {**BODY, "marks": {"z": 3}},
     {**BODY, "secret": "s", "marks": {"z": 3, "x": 1}}),
]  # fmt: skip


@pytest.mark.parametrize(("update", "read", "body", "after"), REPLACEMENTS)
def test_a_replacement_keeps_what_may_not_be_seen_or_written(
    update: Rule, read: Rule, body: dict[str, Any], after: dict[str, Any] | str
) -> None:
    permissions = limits(update, read)
    if isinstance(after, str):
        with pytest.raises(Forbidden) as caught:
            read_replacement(PERSON, body, RAW, permissions)
        assert [fault.pointer for fault in caught.value.faults] == [after]
    else:
        stored = decode(read_replacement(PERSON, body, RAW, permissions))
        assert stored == {"_id": KEY, **after}


def test_what_is_missing_and_may_not_be_written_stays_missing() -> None:
    raw = to_bson({"_id": KEY, "name": "Ann"})
    after = read_replacement(PERSON, {"name": "Bo"}, raw, limits(only("name")))
    assert decode(after) == {"_id": KEY, "name": "Bo"}


FAULTS = [  # the rules of update and read, a patch, what is said
    (Rule(), Rule(), {"about": {"age": -1}}, "#/about/age"),
    (Rule(), hide("about.age"), {"about": {"age": -1}}, "#/about/age"),
    (Rule(), hide("free"), {"age": 99}, "#"),
    (hide("age"), hide("age"), {"name": 3}, "#/name"),
]


@pytest.mark.parametrize(("update", "read", "patch", "place"), FAULTS)
def test_a_fault_names_no_field_that_can_not_be_seen(
    update: Rule, read: Rule, patch: dict[str, Any], place: str
) -> None:
    with pytest.raises(Invalid) as caught:
        read_patch(PERSON, patch, RAW, limits(update, read))
    assert [fault.pointer for fault in caught.value.faults] == [place]
    if place == "#":
        assert "99" not in caught.value.detail


def test_a_fault_of_a_hidden_field_is_one_that_can_not_be_seen() -> None:
    rights = Rights(read=only("age"), create=only("age"))
    permissions = Permissions.to_create(rights, PERSON.shape)
    with pytest.raises(Invalid) as caught:
        read_document(PERSON, {"age": 1}, permissions)
    assert caught.value.faults == (
        Fault("A field that you can't see does not allow this.", pointer="#"),
    )
    assert "name" not in caught.value.detail


class Trip(Document):
    start: int = 1
    end: int
    code: Annotated[str, AfterValidator(lambda value: value)] = ""
    stop: PydanticObjectId | None = None

    @field_validator("end")
    @classmethod
    def check_end(cls, end: int, info: ValidationInfo) -> int:
        if end < info.data["start"]:
            raise ValueError(f"end must not be before {info.data['start']}")
        return end


TRIP = make_resource(Trip)
TRIP_RAW = bson.encode({"_id": KEY, "start": 4711, "end": 5000, "code": ""})


@pytest.mark.parametrize("read", [hide("start"), only("end"), None])
def test_what_a_validator_says_that_is_told_of_a_hidden_field_is_not_repeated(
    read: Rule | None,
) -> None:
    permissions = Permissions.to_update(Rights(read=read, update=only("end")), TRIP.shape)
    with pytest.raises(Invalid) as caught:
        read_patch(TRIP, {"end": 3}, TRIP_RAW, permissions)
    (fault,) = caught.value.faults
    assert fault.pointer == "#/end"
    assert "4711" not in caught.value.detail
    assert fault.detail.endswith("because of a field that you can't see, or together with one.")


@pytest.mark.parametrize("patch", [{"end": "x"}, {"code": 5}, {"stop": "x"}])
def test_what_is_wrong_with_a_value_alone_is_told(patch: dict[str, Any]) -> None:
    permissions = Permissions.to_update(Rights(read=hide("start"), update=Rule()), TRIP.shape)
    with pytest.raises(Invalid) as caught:
        read_patch(TRIP, patch, TRIP_RAW, permissions)
    with pytest.raises(Invalid) as plain:
        read_patch(TRIP, patch, TRIP_RAW)
    assert caught.value.faults == plain.value.faults


def test_a_conflict_names_no_hidden_field() -> None:
    permissions = limits(Rule(), hide("name"))
    assert permissions is not None
    conflict = Conflict("Another document has the same name.", Fault("…", pointer="#/name"))
    concealed = permissions.conceal(conflict)
    assert "name" not in concealed.detail
    assert [fault.pointer for fault in concealed.faults] == ["#"]
    other = Conflict("Another document has the same age.", Fault("…", pointer="#/age"))
    assert permissions.conceal(other) is other


# --- whatever the rules, whatever is sent ---------------------------------------------------------

PATHS = [
    "name", "age", "free", "free.a", "marks", "marks.x", "about", "about.bio", "about.age",
    "about.homes", "about.homes.city", "secret", "foreign",
]  # fmt: skip
RULES = st.one_of(
    st.builds(Rule, fields=st.lists(st.sampled_from(PATHS), max_size=4).map(tuple)),
    st.builds(Rule, hide=st.lists(st.sampled_from(PATHS), max_size=4).map(tuple)),
)
HOMES = st.lists(
    st.dictionaries(
        st.sampled_from(["city", "street"]), st.sampled_from(["Ulm", "A", "new", None])
    ),
    max_size=2,
)
VALUES = st.one_of(
    st.sampled_from([None, 1, 2, 7, 30, 30.0, "Ann", "b", "s", [], {}, ABOUT, ABOUT["homes"]]),
    st.dictionaries(st.sampled_from(["a", "b", "x", "y"]), st.sampled_from([None, 1, 2, 9])),
    st.fixed_dictionaries(
        {},
        optional={"bio": st.sampled_from([None, "b", "new"]), "age": st.sampled_from([None, 7, 8]),
                  "homes": st.one_of(HOMES, st.none())},
    ),
)  # fmt: skip
NAMES = ["_id", "name", "age", "free", "marks", "about", "secret", "foreign"]
BODIES = st.one_of(
    st.dictionaries(st.sampled_from(NAMES), VALUES),
    st.dictionaries(st.sampled_from(NAMES), VALUES).map(lambda changes: {**BODY, **changes}),
)


@settings(max_examples=100)
@given(RULES, RULES, BODIES, st.booleans())
def test_what_may_not_be_written_never_changes(
    update: Rule, read: Rule, body: dict[str, Any], whole: bool
) -> None:
    permissions = limits(update, read)
    try:
        if whole:
            after = decode(read_replacement(PERSON, body, RAW, permissions))
        else:
            change = read_patch(PERSON, body, RAW, permissions)
            after = decode(change.whole) if change.whole else apply(change, decode(RAW))
    except (Forbidden, Invalid):
        return
    for path in (*PATHS, "free.b", "marks.y", "about.homes.street"):
        if extent_of(update, PERSON.shape).at(tuple(path.split("."))).is_none:
            assert _at(after, path) == _at(STORED, path), path
    if whole:  # what can't be seen and was not sent stays
        for path in ("age", "foreign", "free.b", "about.age"):
            if not _is_seen_or_sent(extent_of(read, PERSON.shape), body, path):
                assert _at(after, path) == _at(STORED, path), path


def _at(value: Any, path: str) -> bytes:
    """The values at a path, one for each element of lists on the way."""
    for name in path.split("."):
        values = value if isinstance(value, list) else [value]
        value = [one[name] for one in values if isinstance(one, dict) and name in one]
        value = value[0] if len(value) == 1 and isinstance(value[0], list) else value
    return to_bson({"": value})


def _is_seen_or_sent(read: Extent, body: Any, path: str) -> bool:
    """Whether the value at a path, or something unseen around it, is in a body."""
    for name in path.split("."):
        read = read.below(name)
        if not isinstance(body, dict) or (read.is_none and name in body):
            return True
        body = body.get(name, {})
    return not read.is_none
