"""The paths that need no caller."""

PUBLIC = frozenset(
    ("/livez", "/readyz", "/auth/token", "/ui/sign-in", "/ui/sign-out", "/ui/preferences")
)
# The beginnings of what a share downloads, and of the files that pages load.
PUBLIC_BELOW = ("/shared/", "/ui/static/")
DOCS = frozenset(("/docs", "/redoc", "/openapi.json"))  # unless the setting DOCS says otherwise


def is_public(path: str) -> bool:
    """Whether nobody asks who calls."""
    return path in PUBLIC or path.startswith(PUBLIC_BELOW)
