"""Forms of names and texts (WHATWG URL, application/x-www-form-urlencoded)."""

from urllib.parse import parse_qsl

from starlette.requests import Request

from app.api import requests
from app.api.headers import NO_STORE
from app.errors import BadRequest, Fault, UnsupportedMedia

FORM = "application/x-www-form-urlencoded"
FORM_LIMIT = 64 * 1024  # bytes
NOT_STORED = {**NO_STORE, "Pragma": "no-cache"}  # RFC 6749, 5.1

Form = dict[str, str]


async def read_form(request: Request, most: int = 20) -> Form:
    """The fields of a form, of which there are `most` at most.

    Raises `BadRequest` for one that is broken or has a field twice.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != FORM:
        detail = f"The body must be {FORM}."
        raise UnsupportedMedia(detail, Fault(detail, header="Content-Type"))
    body = await requests.read_body(request, FORM_LIMIT)
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=most
        )
    except ValueError:
        raise oauth_error("invalid_request", "The body is no form in UTF-8.") from None
    form = dict(pairs)
    if len(form) < len(pairs):
        raise oauth_error("invalid_request", "A field of the form is there twice.")
    return form


def require_field(form: Form, name: str) -> str:
    """A field that has to be there and not empty; raises `BadRequest`."""
    if not form.get(name):
        raise oauth_error("invalid_request", f"{name}: this field of the form is required.")
    return form[name]


def oauth_error(word: str, detail: str) -> BadRequest:
    """400 with the word that OAuth2 has for it (RFC 6749, 5.2)."""
    error = BadRequest(detail)
    error.members["error"] = word
    error.headers |= NOT_STORED
    return error
