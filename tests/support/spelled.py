"""Documents with texts that pydantic writes in another way than they are sent."""

import ipaddress
from typing import Annotated

from beanie import Document
from pydantic import AfterValidator, AnyUrl, BaseModel, EmailStr, Field, HttpUrl, StringConstraints


class Comment(BaseModel):
    """A nested model."""

    email: EmailStr | None = None


class Page(Document):
    """A page of the web, with its comments."""

    url: HttpUrl | None = None
    links: list[AnyUrl] = Field(default_factory=list)
    comments: list[Comment] = Field(default_factory=list)
    address: ipaddress.IPv6Address | None = None
    tag: Annotated[str, StringConstraints(to_lower=True, strip_whitespace=True)] | None = None
    code: Annotated[str, AfterValidator(str.upper)] | None = Field(None, min_length=3)
    mails: dict[str, EmailStr] = Field(default_factory=dict)

    class Settings:
        name = "pages"
