"""What the driver is told, beside what each command says itself."""

from typing import Any

import pytest

from app.settings import Settings
from app.store.client import client_options
from tests.support.patience import SETTINGS


def settings_of(**chosen: Any) -> Settings:
    return Settings(_env_file=None, **chosen)  # type: ignore[call-arg]


def test_a_read_of_a_server_that_hangs_ends_within_the_promised_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in SETTINGS:  # as people start it
        monkeypatch.delenv(f"{name}_SECONDS")
    settings = settings_of()
    options = client_options(settings)
    known = options["heartbeatFrequencyMS"] + options["connectTimeoutMS"]  # that it hangs
    asked_again = options["serverSelectionTimeoutMS"]
    promised = (settings.QUERY_TIME_LIMIT_SECONDS + settings.PRIMARY_WAIT_SECONDS) * 1000
    assert known + asked_again < promised


def test_an_interval_of_heartbeats_in_the_uri_is_kept() -> None:
    settings = settings_of(MONGO_URI="mongodb://localhost/?heartbeatfrequencyms=30000")
    assert "heartbeatFrequencyMS" not in client_options(settings)
