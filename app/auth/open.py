"""The paths that need no caller."""

OPEN = frozenset(("/livez", "/readyz", "/auth/token", "/ui/sign-in", "/ui/sign-out"))
SHARED = "/shared/"  # the beginning of what a share downloads
DOCS = frozenset(("/docs", "/redoc", "/openapi.json"))  # unless the setting DOCS says otherwise


def is_open(path: str) -> bool:
    """Whether nobody asks who calls."""
    return path in OPEN or path.startswith(SHARED)
