"""A model's validator that goes on where a stored value is wrong, and checks the rest.

A stored document may break its model anywhere. A lenient validator takes a wrong field as it is,
and the model's own validators (`@model_validator`) run all the same. pydantic's core schema is
rewritten for that.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pydantic
from pydantic_core import PydanticCustomError, SchemaValidator, core_schema

from app.resources.fields import once

Schema = dict[str, Any]
Call = Callable[..., Any]
# What a validator raises because it was handed a wrong value; it says nothing of what was sent.
_CANNOT_JUDGE = (TypeError, AttributeError, LookupError, ArithmeticError)
_VERDICT = "verdict"  # the type of the errors that validators of whole models raise
_FUNCTIONS = ("function-before", "function-after", "function-wrap")
_NO_SCHEMAS = ("default", "metadata", "serialization", "config", "function", "cls", "expected")


@once
def lenient_validator(model: type[pydantic.BaseModel]) -> SchemaValidator:
    """Raises only what the validators of whole models say, each with its place."""
    return _validator(model, silent=False)


@once
def silent_validator(model: type[pydantic.BaseModel]) -> SchemaValidator:
    """Raises nothing: whatever is right is validated, all else is taken as it is."""
    return _validator(model, silent=True)


def _validator(model: type[pydantic.BaseModel], *, silent: bool) -> SchemaValidator:
    schema = _rewrite(model.__pydantic_core_schema__, silent=silent)
    # Without `_use_prebuilt=False` pydantic takes the classes' own validators for the rewritten.
    return SchemaValidator(schema, _use_prebuilt=False)


def _rewrite(schema: Any, *, silent: bool) -> Any:
    """The schema with every field made lenient."""
    if isinstance(schema, list | tuple):
        return type(schema)(_rewrite(inner, silent=silent) for inner in schema)
    if not isinstance(schema, dict):
        return schema
    kind = schema.get("type")
    rewritten: Schema = {}
    for word, value in schema.items():
        is_schema = not isinstance(kind, str) or word not in _NO_SCHEMAS
        rewritten[word] = _rewrite(value, silent=silent) if is_schema else value
    if kind == "model-field":
        rewritten["schema"] = _never_missing(rewritten["schema"], silent)
    elif kind == "dict" and "values_schema" in rewritten:
        rewritten["values_schema"] = _never_wrong(rewritten["values_schema"], silent)
    elif kind in _FUNCTIONS and _is_of_model(schema):
        return _judging(rewritten, silent)
    return rewritten


def _is_of_model(schema: Schema) -> bool:
    while schema["type"] in _FUNCTIONS:
        schema = schema["schema"]
    return bool(schema["type"] == "model")


def _never_missing(schema: Schema, silent: bool) -> Schema:
    if schema["type"] == "default":
        return {**schema, "schema": _never_wrong(schema["schema"], silent)}
    return {"type": "default", "default": None, "schema": _never_wrong(schema, silent)}


def _never_wrong(schema: Schema, silent: bool) -> Schema:
    """Takes a wrong value as it is.

    What the validator of a whole model inside it says is passed on.
    """

    def validate(value: Any, handler: Call) -> Any:
        try:
            return handler(value)
        except pydantic.ValidationError as error:
            if not silent and _has_verdict(error):
                raise
            return value
        except _CANNOT_JUDGE:
            return value

    return _wrap(core_schema.no_info_wrap_validator_function, validate, schema)


def _has_verdict(error: pydantic.ValidationError) -> bool:
    return any(one["type"] == _VERDICT for one in error.errors(include_url=False))


def _judging(schema: Schema, silent: bool) -> Schema:
    """The validator of a whole model: its verdict is raised as such, or dropped where `silent`."""
    function = schema["function"]["function"]
    with_info = schema["function"]["type"] == "with-info"
    steps: dict[str, Call] = {
        "function-before": _before,
        "function-after": _after,
        "function-wrap": _around,
    }
    step = steps[schema["type"]]

    def validate(value: Any, handler: Call, info: Any) -> Any:
        judge = partial(_judge, function, info if with_info else None, silent)
        return step(judge, value, handler)

    wrapped = _wrap(core_schema.with_info_wrap_validator_function, validate, schema["schema"])
    return {**wrapped, "ref": schema["ref"]} if "ref" in schema else wrapped


def _before(judge: Call, value: Any, handler: Call) -> Any:
    return handler(judge(value, otherwise=lambda: value))


def _after(judge: Call, value: Any, handler: Call) -> Any:
    instance = handler(value)
    return judge(instance, otherwise=lambda: instance)


def _around(judge: Call, value: Any, handler: Call) -> Any:
    return judge(value, handler, otherwise=lambda: handler(value))


def _judge(function: Call, info: Any, silent: bool, *values: Any, otherwise: Call) -> Any:
    try:
        return function(*values, info) if info is not None else function(*values)
    except pydantic.ValidationError:
        if not silent:
            raise
    except (ValueError, AssertionError) as error:
        if not silent:
            raise PydanticCustomError(_VERDICT, "{detail}", {"detail": str(error)}) from None
    except _CANNOT_JUDGE:
        pass
    return otherwise()


def _wrap(make: Call, validate: Call, schema: Schema) -> Schema:
    wrapped: Schema = make(validate, schema)
    return wrapped
