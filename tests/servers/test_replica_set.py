"""Three mongods: made, one killed, one handing over, found again by a later command."""

import stat
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from app.errors import StartError
from app.servers import replica_set
from app.servers.replica_set import ReplicaSet
from tests.support.members import wait_for_primary
from tests.support.mongod import needs_mongod

pytestmark = [*needs_mongod, pytest.mark.replica_set]


def test_it_starts_whole_with_its_secrets_closed(members: ReplicaSet) -> None:
    assert sorted(members.status().values()) == ["PRIMARY", "SECONDARY", "SECONDARY"]
    assert stat.S_IMODE((members.folder / "key").stat().st_mode) == 0o400
    assert stat.S_IMODE((members.folder / "replica-set.json").stat().st_mode) == 0o600


def test_the_application_may_use_its_database_only(members: ReplicaSet) -> None:
    with MongoClient[dict[str, object]](members.uri()) as client:
        client.docsheet.things.insert_one({})
        with pytest.raises(OperationFailure, match="not authorized"):
            client.other.things.insert_one({})


@pytest.mark.slow
def test_a_killed_primary_is_replaced_and_comes_back(members: ReplicaSet) -> None:
    with MongoClient[dict[str, object]](members.uri()) as client:
        before = client.docsheet.kept.insert_one({}).inserted_id
        killed = members.kill("PRIMARY")
        assert members.status()[killed] == "DOWN"
        assert wait_for_primary(members) != killed
        after = client.docsheet.kept.insert_one({}).inserted_id
        assert [kept["_id"] for kept in client.docsheet.kept.find()] == [before, after]
    members.restart(killed)
    members.wait_until_whole()


def test_a_primary_that_steps_down_is_replaced_at_once(members: ReplicaSet) -> None:
    stepped = members.step_down()
    assert wait_for_primary(members, other_than=stepped) != stepped


def test_a_later_command_finds_it(members: ReplicaSet, capsys: pytest.CaptureFixture[str]) -> None:
    assert replica_set.main(["status", str(members.folder)]) == 0
    shown = capsys.readouterr().out
    assert f"{members.primary}  PRIMARY\n" in shown
    assert f"MONGO_URI={members.uri()}\n" in shown


def test_a_folder_without_a_set_is_said_to_be_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replica_set.main(["kill", "PRIMARY", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(
        f"There is no replica set in {tmp_path}: `scripts/replica-set start"
    )


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(StartError, match="holds other files"):
        ReplicaSet.start(tmp_path)
