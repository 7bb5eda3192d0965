"""The media types of requests and answers."""

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"  # RFC 7396
PROBLEM = "application/problem+json"  # RFC 9457


def prefers_html(accept: str) -> bool:
    """Whether HTML is preferred to JSON (RFC 9110, section 12.5.1).

    Wanted alike, the one named first.
    """
    qualities: dict[str, tuple[float, int]] = {}
    for number, part in enumerate(accept.lower().split(",")):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((_quality(one[2:]) for one in parameters if one.startswith("q=")), 1.0)
        qualities.setdefault(media_type, (quality, -number))
    nothing = (0.0, 1 - len(accept))
    page = qualities.get("text/html", qualities.get("text/*", nothing))
    data = qualities.get(JSON, qualities.get("application/*", qualities.get("*/*", nothing)))
    return page > data and page[0] > 0


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
