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
from app.resources.schemas import rewrite_within

Schema = dict[str, Any]
Call = Callable[..., Any]
# What a validator raises because it, or one before it, was handed a wrong value.
CANNOT_JUDGE = (TypeError, AttributeError, LookupError, ArithmeticError)
_VERDICT = "verdict"  # the type of the errors that validators of whole models raise
_FUNCTIONS = ("function-before", "function-after", "function-wrap")
_CALLED = (*_FUNCTIONS, "function-plain")


@once
def make_lenient_validator(model: type[pydantic.BaseModel]) -> SchemaValidator:
    """Raises only what the validators of whole models say, each with its place."""
    return _validator(model, silent=False)


@once
def make_silent_validator(model: type[pydantic.BaseModel]) -> SchemaValidator:
    """Raises nothing: whatever is right is validated, all else is taken as it is."""
    return _validator(model, silent=True)


@once
def passing_validator(model: type[pydantic.BaseModel]) -> SchemaValidator:
    """The model's own, but a function of it that can't judge a value lets it pass.

    So it says what is wrong where such a function, as `info.data["start"]` in one, raises.
    """
    return _compile(_guard(model.__pydantic_core_schema__, _let_pass))


@once
def naming_validator(model: type[pydantic.BaseModel]) -> SchemaValidator:
    """The model's own, but a function of it that can't judge a value makes that value a fault."""
    return _compile(_guard(model.__pydantic_core_schema__, _refuse))


def _validator(model: type[pydantic.BaseModel], *, silent: bool) -> SchemaValidator:
    guarded = _guard(model.__pydantic_core_schema__, _let_pass)
    return _compile(_make_lenient(guarded, silent=silent))


def _compile(schema: Any) -> SchemaValidator:
    # Without `_use_prebuilt=False` pydantic takes the classes' own validators for the rewritten.
    return SchemaValidator(schema, _use_prebuilt=False)


def _guard(schema: Any, otherwise: Call) -> Any:
    """The schema with `otherwise` in place of what a function raises that can't judge a value."""
    rewritten = rewrite_within(schema, partial(_guard, otherwise=otherwise))
    if not isinstance(schema, dict) or schema.get("type") not in _CALLED:
        return rewritten
    declared = schema["function"]
    is_wrap = schema["type"] == "function-wrap"
    guard = partial(_call, declared["function"], partial(otherwise, is_wrap))
    return {**rewritten, "function": {**declared, "function": guard}}


def _call(function: Call, otherwise: Call, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except CANNOT_JUDGE as error:
        return otherwise(error, *arguments)


def _let_pass(is_wrap: bool, error: Exception, value: Any, *others: Any) -> Any:
    return others[0](value) if is_wrap else value


def _refuse(is_wrap: bool, error: Exception, *arguments: Any) -> Any:
    raise PydanticCustomError(
        "unjudged", "The model can't check this value ({error})", {"error": type(error).__name__}
    ) from error


def _make_lenient(schema: Any, *, silent: bool) -> Any:
    """The schema with every field made lenient."""
    rewritten = rewrite_within(schema, partial(_make_lenient, silent=silent))
    if not isinstance(schema, dict):
        return rewritten
    kind = schema.get("type")
    if kind == "model-field":
        rewritten["schema"] = _tolerate_missing(rewritten["schema"], silent)
    elif kind == "dict" and "values_schema" in rewritten:
        rewritten["values_schema"] = _tolerate_wrong(rewritten["values_schema"], silent)
    elif kind in _FUNCTIONS and _is_of_model(schema):
        return _wrap_judge(rewritten, silent)
    return rewritten


def _is_of_model(schema: Schema) -> bool:
    while schema["type"] in _FUNCTIONS:
        schema = schema["schema"]
    return bool(schema["type"] == "model")


def _tolerate_missing(schema: Schema, silent: bool) -> Schema:
    if schema["type"] == "default":
        return {**schema, "schema": _tolerate_wrong(schema["schema"], silent)}
    return {"type": "default", "default": None, "schema": _tolerate_wrong(schema, silent)}


def _tolerate_wrong(schema: Schema, silent: bool) -> Schema:
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
        except CANNOT_JUDGE:
            return value

    return _wrap(core_schema.no_info_wrap_validator_function, validate, schema)


def _has_verdict(error: pydantic.ValidationError) -> bool:
    return any(one["type"] == _VERDICT for one in error.errors(include_url=False))


def _wrap_judge(schema: Schema, silent: bool) -> Schema:
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
    except CANNOT_JUDGE:
        pass
    return otherwise()


def _wrap(make: Call, validate: Call, schema: Schema) -> Schema:
    wrapped: Schema = make(validate, schema)
    return wrapped
