"""A screen is shown without the parameters that are wrong, and says what is wrong in them."""

from collections.abc import Awaitable, Callable, Sequence

from starlette.responses import Response

from app.errors import Fault, Invalid
from app.pages import addresses
from app.pages.addresses import Pairs

Answer = Callable[[Pairs, Sequence[Fault]], Awaitable[Response]]


async def drop_wrong(asked: Pairs, answer: Answer) -> Response:
    """What `answer` makes of the parameters without the wrong ones, and of their faults.

    Raises `Invalid` for what is no parameter's fault.
    """
    faults: list[Fault] = []
    pairs = asked
    while True:
        try:
            return await answer(pairs, faults)
        except Invalid as error:
            wrong = {fault.parameter or "" for fault in error.faults}
            if not any(name in wrong for name, _ in pairs):
                raise
            faults += error.faults
            pairs = addresses.without(pairs, *wrong)
