"""How the type of a text writes it: an e-mail's domain in lower case, a URL with its slash."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pydantic
from beanie.odm.utils.encoder import Encoder

from app.resources.addresses import is_of_addresses, read_address

# Of the validators, a user's own included.
_REFUSALS = (ValueError, AssertionError, TypeError, AttributeError, LookupError)


class TextType:
    """What a model declares for a text, other than `str` alone."""

    def __init__(self, annotation: Any) -> None:
        self._annotation = annotation
        self._validate: Callable[[str], Any] | None = None
        self._encode = Encoder(to_db=True).encode

    def write(self, text: str) -> str:
        """The text as it is stored when it is sent; as it is where the model would refuse it."""
        if self._validate is None:
            self._validate = _validator(self._annotation)
        try:
            written = self._encode(self._validate(text))
        except _REFUSALS:
            return text
        return written if isinstance(written, str) else text


def _validator(annotation: Any) -> Callable[[str], Any]:
    try:
        adapter = pydantic.TypeAdapter(annotation)
    except pydantic.errors.PydanticUserError:  # what pydantic can't check alone stays as it is
        return str
    schema: Any = adapter.core_schema
    if is_of_addresses(schema) and schema["schema"] == {"type": "str"}:
        return read_address
    return partial(adapter.validate_python, context={"stored": {}})
