"""The sample of `models/user.py`."""

from app.commands.seed_samples import QuickFaker
from app.resources.documents import read_document
from app.resources.registry import discover

USERS = discover("models")["users"]


def people(seed: int, count: int) -> list[dict[str, object]]:
    fake = QuickFaker(seed)
    assert USERS.options.sample is not None
    return [USERS.options.sample(fake, number) for number in range(count)]


def test_same_seed_makes_the_same_people_and_another_one_others() -> None:
    assert people(1, 50) == people(1, 50)
    assert people(1, 50) != people(2, 50)


def test_people_are_believable() -> None:
    made = [read_document(USERS, person) for person in people(1, 1000)]
    assert len({person["email"] for person in made}) == 1000
    chinese = sum(any("一" <= letter <= "鿿" for letter in person["name"]) for person in made)
    assert 350 < chinese < 650
    assert {len(person["profile"]["addresses"]) for person in made} == {1, 2, 3}
    assert len({person["name"] for person in made}) > 700
