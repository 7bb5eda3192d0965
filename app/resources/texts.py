"""How the type of a text writes it: an e-mail's domain in lower case, a URL with its slash."""

from collections.abc import Callable
from typing import Any

import pydantic


class TextType:
    """What a model declares for a text, other than `str` alone."""

    def __init__(self, annotation: Any) -> None:
        self._annotation = annotation
        self._adapter: pydantic.TypeAdapter[Any] | None = None

    def __reduce__(self) -> tuple[Callable[[Any], "TextType"], tuple[Any]]:
        """Another process only reads documents.

        An annotation can hold what can't be handed over.
        """
        return TextType, (str,)

    def write(self, text: str) -> str:
        """The text as it is stored when it is sent; as it is where the model would refuse it."""
        if self._adapter is None:
            self._adapter = pydantic.TypeAdapter(self._annotation)
        try:
            written = self._adapter.dump_python(self._adapter.validate_python(text), mode="json")
        except (ValueError, pydantic.errors.PydanticUserError):
            return text
        return written if isinstance(written, str) else text
