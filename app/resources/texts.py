"""How the type of a text writes it: an e-mail's domain in lower case, a URL with its slash."""

import zoneinfo
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pydantic
from beanie.odm.utils.encoder import Encoder

from app.resources.addresses import is_of_addresses, read_address

UNKNOWN_TO_BEANIE = (  # whose encoder has no text for them
    pydantic.PostgresDsn,
    pydantic.MongoDsn,
    pydantic.NatsDsn,
    pydantic.NameEmail,
    zoneinfo.ZoneInfo,
)
_WRITES = ("str_strip_whitespace", "str_to_lower", "str_to_upper")  # of a model's configuration
# Of the validators, a user's own included.
_REFUSALS = (ValueError, AssertionError, TypeError, AttributeError, LookupError)


class TextType:
    """What a model declares for a text, other than `str` alone, with its configuration of texts."""

    def __init__(self, annotation: Any, config: pydantic.ConfigDict | None = None) -> None:
        self._annotation = annotation
        self._config = config
        self._validate: Callable[[str], Any] | None = None
        self._encode = Encoder(to_db=True).encode

    def configure(self, config: pydantic.ConfigDict) -> "TextType":
        """The same type in a model of this configuration."""
        return TextType(self._annotation, config)

    def write(self, text: str) -> str:
        """The text as it is stored when it is sent; as it is where the model would refuse it."""
        if self._validate is None:
            self._validate = _validator(self._annotation, self._config)
        try:
            value = self._validate(text)
            written = str(value) if isinstance(value, UNKNOWN_TO_BEANIE) else self._encode(value)
        except _REFUSALS:
            return text
        return written if isinstance(written, str) else text


def read_config(model: type[pydantic.BaseModel]) -> pydantic.ConfigDict:
    """The words of a model's configuration that say how it writes its texts."""
    words = {word: value for word, value in model.model_config.items() if word in _WRITES and value}
    return cast(pydantic.ConfigDict, words)


def _validator(annotation: Any, config: pydantic.ConfigDict | None) -> Callable[[str], Any]:
    try:
        adapter = pydantic.TypeAdapter(annotation, config=config)
    except pydantic.errors.PydanticUserError:  # what pydantic can't check alone stays as it is
        return str
    schema: Any = adapter.core_schema
    if is_of_addresses(schema) and schema["schema"] == {"type": "str"}:
        return read_address
    return partial(adapter.validate_python, context={"stored": {}})
