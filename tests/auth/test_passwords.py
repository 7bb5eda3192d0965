"""Passwords are stored as hashes, and checked in equal time."""

from types import SimpleNamespace

import pytest

from app.auth import passwords
from app.auth.documents import Account, check_name
from app.auth.passwords import is_right, make_hash, mark
from app.errors import Invalid
from app.resources.documents import read_document
from app.resources.patches import read_patch
from app.resources.registry import make_resource
from app.resources.storing import to_bson

ACCOUNTS = make_resource(Account, own=True)


async def test_the_right_password_alone_is_right() -> None:
    stored = await make_hash("correct horse")
    assert "horse" not in stored
    assert await is_right("correct horse", stored)
    assert not await is_right("correct horsf", stored)
    assert not await is_right("correct horse", None)
    assert not await is_right("the password of nobody", None)
    assert not await is_right("correct horse", "a hash of another kind")


async def test_a_letter_is_the_same_however_it_was_typed() -> None:
    assert await is_right("cafe\u0301 noir", await make_hash("caf\u00e9 noir"))


async def test_a_wrong_password_costs_as_much_where_there_is_no_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored = await make_hash("correct horse")
    checked: list[str] = []
    hasher = passwords._hasher

    def verify(password: bytes, stored: str) -> bool:
        checked.append(stored)
        return hasher.verify(password, stored)

    passwords._of_nobody.cache_clear()  # another hasher may have made it
    monkeypatch.setattr(passwords, "_hasher", SimpleNamespace(hash=hasher.hash, verify=verify))
    assert not await is_right("wrong password", stored)
    assert not await is_right("wrong password", None)
    with_account, without = (each.rsplit("$", 2)[0] for each in checked)
    assert with_account == without  # both are hashed, with the same memory, passes and lanes


def test_an_account_stores_the_hash_and_shows_nothing() -> None:
    body = {"name": "Anna", "role": "viewer", "password": "correct horse"}
    stored = read_document(ACCOUNTS, body)
    assert stored["password"].startswith("$argon2id$")
    assert ACCOUNTS.shape.find("password") is None
    change = read_patch(ACCOUNTS, {"disabled": True}, to_bson(stored))
    assert change.set == {"disabled": True}
    again = read_patch(ACCOUNTS, {"password": "another horse"}, to_bson(stored))
    assert mark(again.set["password"]) != mark(stored["password"])


@pytest.mark.parametrize("password", ["short77", "x" * 129, "", 12345678])
def test_a_password_has_8_to_128_characters(password: object) -> None:
    with pytest.raises(Invalid) as caught:
        read_document(ACCOUNTS, {"name": "Anna", "role": "viewer", "password": password})
    assert caught.value.faults[0].pointer == "#/password"
    assert str(password) not in caught.value.detail or not password


@pytest.mark.parametrize("name", ["a:b", "key_1", "KEY_x", "a\nb", "a\x00", " a", "a\u202eb"])
def test_a_name_that_basic_could_not_send_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        check_name(name)


def test_a_name_is_composed() -> None:
    assert check_name("Rene\u0301 Müller") == "Ren\u00e9 Müller"
