"""The Faker of samples: the same for the same seed, and soon without asking Faker."""

from typing import Any

import pytest
from faker.providers.address.en_US import Provider
from pydantic import BaseModel, Field

from app.commands import seed_samples as samples
from app.commands.seed_samples import COUNTRIES, QuickFaker


def draw(seed: int) -> list[Any]:
    fake = QuickFaker(seed)
    return [
        [
            fake.name(),
            fake["zh_CN"].name(),
            fake.random.random(),
            fake.random_int(1, 9),
            fake.city(),
        ]
        for _ in range(30)
    ]


def test_same_seed_draws_the_same() -> None:
    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


def test_values_are_drawn_once_and_then_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "POOL", 20)
    fake = QuickFaker(1)
    first = [fake["de_DE"].name() for _ in range(20)]
    later = {fake["de_DE"].name() for _ in range(500)}
    assert later == set(first)
    assert {fake["fr_FR"].name() for _ in range(20)} != set(first)


def test_each_set_of_arguments_has_values_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "POOL", 5)
    fake = QuickFaker(1)["en_US"]
    assert {len(fake.sentence(nb_words=3, variable_nb_words=False).split()) for _ in range(9)} == {
        3
    }
    assert {len(fake.sentence(nb_words=6, variable_nb_words=False).split()) for _ in range(9)} == {
        6
    }
    assert {type(fake.words(nb=2, ext_word_list=["a", "b"])) for _ in range(9)} == {list}


def test_ever_new_arguments_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MAX_POOLS", 3)
    fake = QuickFaker(1)["en_US"]
    assert [len(fake.lexify("?" * number)) for number in range(1, 50)] == list(range(1, 50))
    assert len(fake.lexify._pools) == 3


def test_what_must_differ_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "POOL", 5)
    fake = QuickFaker(1)
    assert len({fake.uuid4() for _ in range(100)}) == 100
    assert len({fake.random_int(1, 10**9) for _ in range(100)}) == 100
    assert len({fake.unique.email() for _ in range(100)}) == 100
    assert len({fake["zh_CN"].unique.name() for _ in range(100)}) == 100


class Place(BaseModel):
    street: str
    city: str | None = None
    country: str = ""
    name: str = Field(alias="fullName")
    mood: str = "calm"  # which is no method of Faker


def test_a_model_is_filled_by_the_names_of_its_fields() -> None:
    filled = QuickFaker(1)["zh_CN"].fill(Place)
    assert list(filled) == ["street", "city", "country", "fullName"]
    assert filled["country"] == "中国"
    assert all(filled.values())
    assert QuickFaker(1)["zh_CN"].fill(Place) == filled


def test_all_fields_of_a_filled_model_are_of_one_locale() -> None:
    fake = QuickFaker(1)
    for _ in range(40):
        place = fake.fill(Place)
        has_chinese = any("一" <= letter <= "鿿" for letter in place["street"] + place["city"])
        assert has_chinese == (place["country"] == "中国")
    assert {fake.fill(Place)["country"] for _ in range(40)} == set(COUNTRIES.values())


def test_an_unknown_method_or_locale_is_an_error_as_in_faker() -> None:
    with pytest.raises(AttributeError, match="nmae"):
        QuickFaker(1).nmae()
    with pytest.raises(KeyError):
        QuickFaker(1)["xx_XX"]


def test_later_values_are_not_drawn_by_faker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which takes ten times as long for each."""
    drawn = []

    def street_address(provider: Provider) -> str:
        drawn.append(provider)
        return f"{len(drawn)} Main Street"

    monkeypatch.setattr(Provider, "street_address", street_address)
    monkeypatch.setattr(samples, "POOL", 20)
    fake = QuickFaker(1)["en_US"]
    addresses = [fake.street_address() for _ in range(500)]
    assert len(drawn) == 20
    assert set(addresses) == {f"{number} Main Street" for number in range(1, 21)}
