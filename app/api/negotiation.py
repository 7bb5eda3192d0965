"""Content negotiation (RFC 9110, section 12): what `Accept` and `Accept-Encoding` prefer."""

from collections.abc import Iterable

from app.api.media_types import JSON


def read_weights(values: Iterable[str]) -> dict[str, float]:
    """The weight of each name in a header's values, in their order (RFC 9110, section 12.4.2).

    Names are in lower case. A weight that is no number counts as none; of a name that is there
    twice the first counts.

    >>> read_weights(["text/html, application/json;q=0.5"])
    {"text/html": 1.0, "application/json": 0.5}
    """
    weights: dict[str, float] = {}
    for part in ",".join(values).lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        given = (weight for weight in map(_read_weight, parameters) if weight is not None)
        weights.setdefault(name, next(given, 1.0))
    return weights


def _read_weight(parameter: str) -> float | None:
    """The weight that a parameter is; None for another one."""
    name, _, value = parameter.partition("=")
    try:
        return float(value) if name.strip() == "q" else None
    except ValueError:
        return None


def prefers_html(accept: str) -> bool:
    """Whether HTML is preferred to JSON; of two with one weight, the one named first."""
    weights = read_weights([accept])
    order = list(weights)
    page = _find(weights, "text/html", "text/*")
    data = _find(weights, JSON, "application/*", "*/*")
    if page is None or not weights[page]:
        return False
    if data is None or weights[page] != weights[data]:
        return data is None or weights[page] > weights[data]
    return order.index(page) < order.index(data)


def _find(weights: dict[str, float], *names: str) -> str | None:
    """The first of these names that has a weight: the most specific counts."""
    return next((name for name in names if name in weights), None)


def accepts_gzip(values: Iterable[str]) -> bool:
    """Whether gzip is a coding that `Accept-Encoding` takes."""
    weights = read_weights(values)
    name = _find(weights, "gzip", "x-gzip", "*")
    return name is not None and weights[name] > 0
