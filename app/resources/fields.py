"""The fields of a document class, as MongoDB stores them: names, kinds, nesting.

A `Shape` is what one model stores, by stored name (an alias where the field has one). A dotted path
leads through nested shapes; `Shape.find` says what is at its end. A shape can be narrowed to what
some reader may see: what isn't for that reader is excluded, as if the model had said so.
"""

import dataclasses
import datetime
import enum
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from types import NoneType
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Literal,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

import pydantic
from beanie import Document, Link

from app.errors import DeclarationError
from app.resources.annotations import (
    collection_of,
    find_stored_name,
    is_stored,
    key_annotation,
    unwrap,
)
from app.resources.kinds import KINDS, Filters, anything, kind_of, show_link
from app.resources.texts import TextType, read_config

P = ParamSpec("P")
T = TypeVar("T")

_SECRETS = (pydantic.Secret, pydantic.SecretStr, pydantic.SecretBytes)  # never shown
_LISTS = (list, set, frozenset, tuple, Iterable)


@dataclass(frozen=True)
class Target:
    """Where a link leads: the document class, its collection, and what its `_id` is."""

    model: str
    collection: str
    key: "Field"
    document: type[Document] = dataclasses.field(compare=False, repr=False)


@dataclass(frozen=True)
class Narrowing:
    """What is for a reader of one model: `only` these dotted paths, None for all, without `hide`.

    `around` has the paths that are hidden in the models which hold this one, by model: where one
    of them is nested in itself, they are hidden on every level.
    """

    only: frozenset[str] | None = None
    hide: frozenset[str] = frozenset()
    around: tuple[tuple[type[pydantic.BaseModel], frozenset[str]], ...] = ()

    def below(self, model: type[pydantic.BaseModel], name: str) -> "Narrowing":
        """What is for the reader in what this field of the model holds."""
        is_whole = self.only is None or name in self.only
        only = None if self.only is None or is_whole else _cut(self.only, name)
        around = dict(self.around)
        if self.hide:
            around[model] = self.hide
        return Narrowing(only, _cut(self.hide, name), tuple(around.items()))

    def excludes(self, name: str) -> bool:
        """Whether a field of the model is not for the reader at all."""
        if name in self.hide:
            return True
        return self.only is not None and name not in self.only and not _cut(self.only, name)


def _cut(paths: frozenset[str], name: str) -> frozenset[str]:
    """The rest of each path that leads through the field."""
    above = f"{name}."
    return frozenset(path[len(above) :] for path in paths if path.startswith(above))


@dataclass(frozen=True)
class Field:
    """One field: what kind of value MongoDB holds under its name.

    `kind` names one of `KINDS`. `many` says that it is a list of such values. `model` is the nested
    model of an `object`, `values` what each value of a `map` is, `target` where a `link` leads.
    `models` are those that a value of an `any` may be, and nothing else where it is `of_models`.
    `members` are what a union of several kinds names. `text_type` is what was declared for a text
    other than `str` alone. `narrowing` is what of the nested models is for a reader.
    """

    name: str
    kind: str
    many: bool = False
    model: type[pydantic.BaseModel] | None = None
    values: "Field | None" = None
    choices: tuple[Any, ...] = ()
    excluded: bool = False
    target: Target | None = None
    models: tuple[type[pydantic.BaseModel], ...] = ()
    of_models: bool = False
    members: "tuple[Field, ...]" = ()
    text_type: TextType | None = dataclasses.field(default=None, compare=False)
    narrowing: Narrowing | None = None

    @property
    def filters(self) -> Filters:
        """Which filters the field takes."""
        return Filters.PRESENCE if self.of_models else KINDS[self.kind].filters

    @property
    def show(self) -> Callable[[Any], Any] | None:
        """What makes a stored value presentable; None where it is already."""
        if self.target is not None:
            return partial(show_link, self.target.collection)
        return KINDS[self.kind].show

    def readings(self, text: str) -> list[Any]:
        """The stored values that a text may stand for.

        Raises `ValueError` with a sentence where there is none.
        """
        if self.target is not None:
            return self.target.key.readings(text)
        if self.text_type is not None:
            # Another program may have stored it as it is.
            return list(dict.fromkeys((self.text_type.write(text), text)))
        read = KINDS[self.kind].read
        return [read(text)] if read is not None else anything(text)

    def holds(self, value: Any) -> bool:
        """Whether a decoded value is of this kind.

        Where any may be, whether it is no list and no object.
        """
        shown = KINDS[self.kind].shown
        return type(value) in shown if shown else not isinstance(value, list | dict | NoneType)

    @property
    def shape(self) -> "Shape | None":
        """The fields of the nested model, or None where this is no nested model."""
        return _shape_of(self.model, self.narrowing) if self.model else None

    @property
    def shapes(self) -> "tuple[Shape, ...]":
        """The shapes of the models that one value may be, also one of a list or a map."""
        if self.values is not None:
            return self.values.shapes
        models = (self.model,) if self.model is not None else self.models
        return tuple(_shape_of(model, self.narrowing) for model in models)

    @property
    def inner(self) -> "Mapping[str, Field]":
        """The fields of the nested model by stored name, or those of all that a value may be."""
        if self.shape is not None:
            return self.shape.fields
        return _merge_fields(self.shapes) if self.of_models and self.values is None else {}

    @property
    def has_excluded(self) -> bool:
        """Whether some of the models in it have fields that aren't shown, on any level."""
        return any(shape.has_excluded for shape in self.shapes)

    @property
    def single(self) -> "Field":
        """The field that one element is, where this is a list."""
        return replace(self, many=False)


@dataclass(frozen=True)
class FieldPath:
    """What is at the end of a dotted path.

    `through_list`: some list on the way there is not numbered.
    """

    path: str
    field: Field
    through_list: bool = False


@dataclass(frozen=True)
class Shape:
    """The fields of one model by stored name.

    `open` where the model takes fields that it doesn't declare, `closed` where what another
    program stored besides isn't shown.
    """

    model: type[pydantic.BaseModel]
    fields: Mapping[str, Field]
    open: bool = False
    closed: bool = False

    @property
    def has_excluded(self) -> bool:
        """Whether it has fields that aren't shown, on any level."""
        return _has_excluded(self, ())

    def find(self, path: str, *, numbered: bool = False) -> FieldPath | None:
        """What the dotted path leads to, or None; excluded fields are not there.

        Below a field without a type any step leads on, for there may be documents in it.
        `numbered` is for columns: it allows the number of a list's element as a step,
        `profile.addresses.0.city`, and no step below a field without a type.
        """
        first, *rest = path.split(".")
        field = self.fields.get(first)
        through_list = False
        while field is not None and not field.excluded and rest:
            step, rest = rest[0], rest[1:]
            if field.many and numbered and is_number(step):
                field = field.single
                continue
            through_list = through_list or field.many
            if field.shape is not None:
                field = field.shape.fields.get(step)
            elif not step or step[0] == "$" or "\0" in step:
                field = None
            elif field.values is not None:
                field = replace(field.values, name=step)
            elif field.of_models:
                field = field.inner.get(step)
            else:
                field = _below_any(field, step) if field.kind == "any" and not numbered else None
        if field is None or field.excluded:
            return None
        return FieldPath(path, field, through_list)

    def walk(self, *, excluded: bool = False, unions: bool = False) -> Iterator[FieldPath]:
        """Every path that is declared, parents before children, in declared order.

        Excluded fields are skipped unless `excluded` asks for them. A model inside itself is named,
        and not walked again; with `unions` so are the models of which a value is one.
        """
        for field in self.fields.values():
            yield from _walk(field, "", False, (self.model,), excluded, unions)

    def list_flat(self, prefix: str = "", above: tuple[type, ...] = ()) -> Iterator[FieldPath]:
        """The paths of one flat row: nested models flattened, a list or a map in one piece."""
        for field in self.fields.values():
            if field.excluded:
                continue
            shape = field.shape
            if (
                shape is None
                or field.many
                or not shape.fields
                or shape.model in (*above, self.model)
            ):
                yield FieldPath(prefix + field.name, field)
            else:
                yield from shape.list_flat(f"{prefix}{field.name}.", (*above, self.model))


def _below_any(field: Field, name: str) -> Field | None:
    """What may be under a name below a field without a type; None where any model excludes it."""
    models: dict[type[pydantic.BaseModel], None] = {}
    for shape in field.shapes:
        known = shape.fields.get(name)
        if known is not None:
            if known.excluded:
                return None
            models |= dict.fromkeys(models_in(known))
    return replace(field.single, name=name, models=tuple(models))


def _merge_fields(shapes: Iterable[Shape]) -> dict[str, Field]:
    """The fields of a value of one of these shapes; excluded where one of them excludes it."""
    found: dict[str, list[Field]] = {}
    for shape in shapes:
        for name, field in shape.fields.items():
            found.setdefault(name, []).append(field)
    return {name: _merge(name, fields) for name, fields in found.items()}


def _has_excluded(shape: Shape, above: tuple[type, ...]) -> bool:
    if shape.model in above:
        return False
    models = (*above, shape.model)
    for field in shape.fields.values():
        if field.excluded or any(_has_excluded(inner, models) for inner in field.shapes):
            return True
    return shape.closed


def is_number(step: str) -> bool:
    """Whether the step may be the number of an element.

    No list in 16 MiB has more than millions of them.
    """
    return step.isascii() and step.isdigit() and len(step) < 9


def _walk(
    field: Field,
    prefix: str,
    through_list: bool,
    above: tuple[type, ...],
    excluded: bool,
    unions: bool,
) -> Iterator[FieldPath]:
    if field.excluded and not excluded:
        return
    path = prefix + field.name
    yield FieldPath(path, field, through_list)
    models = tuple(shape.model for shape in field.shapes) if field.shape or unions else ()
    if not set(models).isdisjoint(above):
        return
    for inner in field.inner.values() if models else ():
        through = through_list or field.many
        yield from _walk(inner, f"{path}.", through, (*above, *models), excluded, unions)


def once(function: Callable[P, T]) -> Callable[P, T]:
    """`functools.cache` for functions of a model class, which mypy takes for unhashable."""
    return cache(function)  # type: ignore[return-value]


@once
def shape_of(model: type[pydantic.BaseModel]) -> Shape:
    """The shape of a pydantic model.

    Raises `DeclarationError` for a field that MongoDB or the contract can't hold.
    """
    custom = getattr(getattr(model, "Settings", None), "bson_encoders", {})
    config = read_config(model)
    fields: dict[str, Field] = {}
    for attribute, info in model.model_fields.items():
        if not is_stored(attribute, info):
            continue
        name = find_stored_name(model, attribute, info)
        if name in fields:
            raise DeclarationError(
                f"{model.__name__}.{attribute}: two fields are stored as {name!r}."
            )
        annotation: Any = (
            Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        )
        field = _field(name, annotation, custom, f"{model.__name__}.{attribute}")
        field = _configure(field, config) if config else field
        fields[name] = replace(field, excluded=field.excluded or bool(info.exclude))
    if "_id" in fields:
        fields = {"_id": fields.pop("_id"), **fields}
    return Shape(model, fields, open=model.model_config.get("extra") == "allow")


def _configure(field: Field, config: pydantic.ConfigDict) -> Field:
    """The field in a model that says how it writes its texts."""
    if field.values is not None:
        return replace(field, values=_configure(field.values, config))
    if field.kind != "text" or field.choices:
        return field
    return replace(field, text_type=(field.text_type or TextType(str)).configure(config))


def narrow_shape(shape: Shape, narrowing: Narrowing) -> Shape:
    """The shape in which what is not for the reader is excluded; what holds no field of it as well.

    The `_id` always is for the reader.
    """
    fields: dict[str, Field] = {}
    for name, field in shape.fields.items():
        if name == "_id":
            fields[name] = field
        elif field.excluded or narrowing.excludes(name):
            fields[name] = replace(field, excluded=True)
        else:
            fields[name] = _narrow_field(field, narrowing.below(shape.model, name))
    return replace(shape, fields=fields, closed=narrowing.only is not None)


def _narrow_field(field: Field, narrowing: Narrowing) -> Field:
    if narrowing == Narrowing():
        return field
    values = _narrow_field(field.values, narrowing) if field.values is not None else None
    return replace(field, values=values, narrowing=narrowing)


def _shape_of(model: type[pydantic.BaseModel], narrowing: Narrowing | None) -> Shape:
    return shape_of(model) if narrowing is None else _narrowed_shape_of(model, narrowing)


@lru_cache(maxsize=1024)
def _narrowed_shape_of(model: type[pydantic.BaseModel], narrowing: Narrowing) -> Shape:
    around = dict(narrowing.around).get(model, frozenset())
    return narrow_shape(shape_of(model), replace(narrowing, hide=narrowing.hide | around))


def find_nested_models(model: type[pydantic.BaseModel]) -> list[type[pydantic.BaseModel]]:
    """The model and all that are nested in it, each once."""
    found = [model]
    for known in found:
        fields = shape_of(known).fields.values()
        inner = dict.fromkeys(deep for field in fields for deep in models_in(field))
        found += [deep for deep in inner if deep not in found]
    return found


def _field(name: str, declared: Any, custom: Mapping[Any, Any], where: str) -> Field:
    annotation = unwrap(declared)
    arguments, origin = get_args(annotation), get_origin(annotation)
    if origin in (Union, types.UnionType):
        members = [argument for argument in arguments if argument is not NoneType]
        return _union(name, members, custom, where)
    if origin is Literal:
        return _choices(name, arguments)
    if Link in (origin, annotation):
        return Field(name, "link", target=_target(arguments, where))
    if isinstance(annotation, ForwardRef | str):
        missing = annotation if isinstance(annotation, str) else annotation.__forward_arg__
        raise DeclarationError(f"{where}: no file of these models declares the name {missing!r}.")
    base = origin or annotation
    if not isinstance(base, type):
        return Field(name, "any")
    if base in custom and not issubclass(base, _SECRETS):
        return Field(name, "any")
    kind = kind_of(base)
    if kind is None or issubclass(base, (enum.Enum, Mapping)):
        return _field_of_class(name, base, arguments, custom, where)
    if issubclass(base, _SECRETS):
        return Field(name, kind, excluded=True)
    if kind == "text" and declared is not str:
        return Field(name, kind, text_type=TextType(declared))
    return Field(name, kind)


def _field_of_class(
    name: str, base: type, arguments: tuple[Any, ...], custom: Mapping[Any, Any], where: str
) -> Field:
    """The field of a class that is no kind by itself: what is in it decides."""
    if issubclass(base, _SECRETS):
        return Field(name, "any", excluded=True)
    if issubclass(base, enum.Enum):
        return _choices(name, tuple(member.value for member in base))
    if issubclass(base, Mapping):
        return _map(name, arguments, custom, where)
    if issubclass(base, pydantic.RootModel):
        return _field(name, base.model_fields["root"].annotation, custom, where)
    if issubclass(base, pydantic.BaseModel):
        return Field(name, "object", model=base)
    if issubclass(base, _LISTS):
        return _list(name, arguments, custom, where)
    _refuse_class(base, where)
    return Field(name, "any")


def _refuse_class(base: type, where: str) -> None:
    """Raises `DeclarationError` for a class whose values can't be stored, or read back."""
    if base is pydantic.NaiveDatetime:
        raise DeclarationError(
            f"{where}: stored date-times are shown in UTC, and a NaiveDatetime takes none that has "
            "an offset; declare it as datetime."
        )
    if base in (datetime.time, complex):
        raise DeclarationError(f"{where}: MongoDB can't store a {base.__name__}.")
    if dataclasses.is_dataclass(base):
        raise DeclarationError(
            f"{where}: the dataclass {base.__name__} can't be stored; declare it as a pydantic "
            "BaseModel."
        )


def _target(linked: tuple[Any, ...], where: str) -> Target:
    model: Any = linked[0] if linked else None
    if not (isinstance(model, type) and issubclass(model, Document)):
        name = getattr(model, "__forward_arg__", model)
        raise DeclarationError(
            f"{where}: it links to {name!r}, which is no document class of these models; "
            f'declare it as Link["Name"] with the class\'s name.'
        )
    key = _field("_id", key_annotation(model), {}, f"{model.__name__}.id")
    return Target(model.__name__, collection_of(model), key, model)


def _union(name: str, members: list[Any], custom: Mapping[Any, Any], where: str) -> Field:
    found = [_field(name, member, custom, where) for member in members]
    return _merge(name, found) if found else Field(name, "any")


def _merge(name: str, found: list[Field]) -> Field:
    """The field that holds a value of any of these."""
    if len(found) == 1:
        return found[0]
    if all(field == found[0] for field in found):
        return replace(found[0], text_type=None)
    excluded = any(field.excluded for field in found)
    models = tuple(model for field in found for model in models_in(field))
    kinds, many = {field.kind for field in found}, {field.many for field in found}
    if many == {False} and kinds <= {"int", "float"}:
        return Field(name, "float")
    if len(kinds) == 1 and many == {False} and kinds.isdisjoint(("object", "map", "link")):
        return Field(name, found[0].kind, excluded=excluded)
    known = () if "any" in kinds else tuple(found)
    of_models = many == {False} and all(one.kind == "object" or one.of_models for one in found)
    whole = Field(name, "any", excluded=excluded, models=models, of_models=of_models)
    return replace(whole, members=known)


def models_in(field: Field) -> tuple[type[pydantic.BaseModel], ...]:
    """The models that a value of the field may be, also each of a list or a map."""
    inner = (field.values or field).model
    return (inner,) if inner is not None else (field.values or field).models


def _choices(name: str, values: tuple[Any, ...]) -> Field:
    present = tuple(
        value.value if isinstance(value, enum.Enum) else value
        for value in values
        if value is not None
    )
    kinds = {kind_of(type(value)) or "any" for value in present}
    return Field(name, kinds.pop() if len(kinds) == 1 else "any", choices=present)


def _list(name: str, arguments: tuple[Any, ...], custom: Mapping[Any, Any], where: str) -> Field:
    members = [argument for argument in arguments if argument is not Ellipsis]
    element = _union(name, members, custom, where) if members else Field(name, "any")
    if not element.many:
        return replace(element, many=True)
    return Field(name, "lists", many=True, excluded=element.excluded, models=models_in(element))


def _map(name: str, arguments: tuple[Any, ...], custom: Mapping[Any, Any], where: str) -> Field:
    values = (
        _field(name, arguments[1], custom, where) if len(arguments) == 2 else Field(name, "any")
    )
    return Field(name, "map", values=values, excluded=values.excluded)
