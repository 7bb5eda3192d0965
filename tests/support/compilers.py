"""What reads queries of one resource for whoever may do everything, or has some rights."""

from collections.abc import Iterable

from app.query.compile import Compiler
from app.resources.registry import Resource
from app.resources.views import ALL, Grants, Views


def compiler_of(
    resource: Resource, others: Iterable[Resource] = (), grants: Grants = ALL
) -> Compiler:
    """The compiler of a resource, whose links lead to the others."""
    views = Views((resource, *(other for other in others if other is not resource)), grants)
    return Compiler(views[resource.name], views)
