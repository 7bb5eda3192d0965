"""Who reaches the data without an account, as the settings have it."""

from app.settings import Settings, is_loopback


def describe_access(settings: Settings) -> str:
    """A sentence where others than this machine reach them; else empty."""
    if settings.has_accounts:
        return ""
    if not is_loopback(settings.HOST):
        where = f"HOST is {settings.HOST}"
    elif list_names(settings) or settings.TRUSTED_PROXIES:
        where = "a proxy leads here by what ALLOWED_HOSTS and TRUSTED_PROXIES say"
    else:
        return ""
    return f"AUTH is off, and {where}: whoever gets there can read and change everything."


def list_names(settings: Settings) -> list[str]:
    """The names in ALLOWED_HOSTS by which others than this machine ask."""
    return [name for name in settings.ALLOWED_HOSTS if not is_loopback(name.strip("[]"))]
