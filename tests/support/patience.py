"""Patience: what answers wait for is waited for, however long a machine stands still.

Each of these limits is for people, who are told something else after it, or less. A test would be
told so too whenever nothing moved for some seconds. One that is about a limit sets it itself, or
starts the program as people do: `LiveServer(..., spawn=True)`.
"""

import importlib
import os

from httpx._config import DEFAULT_TIMEOUT_CONFIG

from tests.support.waiting import LONGEST

SETTINGS = ("COUNT_TIME_LIMIT", "QUERY_TIME_LIMIT", "PRIMARY_WAIT", "EXPORT_WAIT")
LIMITS = {
    "app.api.downloads": ("TOTAL_SECONDS",),
    "app.api.health": ("BEAT_SECONDS", "ANSWER_SECONDS"),
    "app.api.limits": ("WAIT_SECONDS",),
    "app.auth.audit": ("WAIT_SECONDS",),
    "app.commands.doctor_exposure": ("HTTPS_SECONDS",),
    "app.pages.facets": ("SECONDS",),
    "app.store.client": ("_TURN_SECONDS",),
    "app.transfers.transfer": ("FIRST_RECORD_SECONDS", "RECORD_SECONDS"),
}


def choose_settings() -> None:
    """The settings of all servers and commands that tests start, unless they choose others."""
    for name in SETTINGS:
        os.environ[f"{name}_SECONDS"] = f"{LONGEST:g}"


def be_patient() -> None:
    """The limits of this process, and of all that it forks."""
    for module, names in LIMITS.items():
        for name in names:
            setattr(importlib.import_module(module), name, LONGEST)
    importlib.import_module("app.store.frequencies").MILLISECONDS = int(1000 * LONGEST)
    for phase in ("connect", "read", "write", "pool"):  # httpx's own is five seconds
        setattr(DEFAULT_TIMEOUT_CONFIG, phase, LONGEST)
