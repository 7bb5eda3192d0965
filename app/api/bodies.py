"""Bodies that make or change something of ours, such as a key or a saved view: a model each."""

from typing import Any, TypeVar

import pydantic
from pydantic import BaseModel

from app.resources.faults import faults_of, make_invalid_body
from app.resources.fields import shape_of
from app.resources.validation import dump, require_object

Model = TypeVar("Model", bound=BaseModel)


def read_model(model: type[Model], body: Any) -> Model:
    """The instance that a body is; raises `Invalid` with a pointer for each fault."""
    try:
        return model.model_validate_json(dump(require_object(body)))
    except pydantic.ValidationError as error:
        found = faults_of(error, body, shape_of(model))
        raise make_invalid_body([fault for _, fault in found]) from None
