"""The Faker that `Resource.sample` gets: quick, and the same for the same seed.

Faker takes some 50 µs for a name, more than all else about a document. So each method, in each
locale and with each set of arguments, draws `POOL` values, and then chooses among them.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from faker import Faker
from pydantic import BaseModel

COUNTRIES = {  # of each locale, in its own language; Faker has them in English
    "en_US": "USA",
    "zh_CN": "中国",
    "de_DE": "Deutschland",
    "fr_FR": "France",
}
LOCALES = tuple(COUNTRIES)
POOL = 1_000  # values of each method; documents up to that number have values of their own
MAX_POOLS = 200  # of one method: one that is called with ever new arguments draws anew each time
# Methods that are quick, or whose values must differ, by how their names begin.
AS_THEY_ARE = ("random_", "py", "uuid", "seed")
# Common names of fields and the methods of Faker for them; any other field has its method's name.
METHODS = {"street": "street_address", "zipcode": "postcode", "country": "current_country"}


class QuickFaker:
    """A Faker of several locales, `fake.name()`, or of one: `fake["zh_CN"].name()`.

    `random` is Python's own `Random` with the same seed. What is no method is Faker's own, such as
    `fake.unique.email()`.
    `links` are the `_id`s of the documents that each link may lead to, by its path.
    """

    def __init__(
        self,
        seed: int,
        locales: tuple[str, ...] = LOCALES,
        links: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        self.random = Random(seed)
        self._links = links or {}
        self._faker = Faker(list(locales))
        self._faker.seed_instance(seed)
        self._methods: dict[type[BaseModel], dict[str, Callable[[], Any]]] = {}
        self._locales = {locales[0]: self}
        if len(locales) > 1:
            self._locales = {locale: QuickFaker(seed, (locale,)) for locale in locales}

    def __getitem__(self, locale: str) -> "QuickFaker":
        return self._locales[locale]

    def linked(self, path: str) -> Any:
        """The `_id` of some document that the link at this path may lead to.

        None where there is none.
        """
        keys = self._links[path]
        return self.random.choice(keys) if keys else None

    def fill(self, model: type[BaseModel]) -> dict[str, Any]:
        """The fields of a model, all from one locale, each by Faker's method of its name.

        Those without such a method are skipped.
        """
        if len(self._locales) > 1:
            return self.random.choice(list(self._locales.values())).fill(model)
        if model not in self._methods:
            self._methods[model] = dict(self._find_methods(model))
        return {name: method() for name, method in self._methods[model].items()}

    def _find_methods(self, model: type[BaseModel]) -> Iterator[tuple[str, Callable[[], Any]]]:
        for name, field in model.model_fields.items():
            method = METHODS.get(name, name)
            if any(callable(getattr(one, method, None)) for one in self._faker.providers):
                yield field.alias or name, getattr(self, method)

    def current_country(self) -> str:
        """The country of the locale, in its own language."""
        return COUNTRIES[self._faker.locales[0]]

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._faker, name)
        if callable(method) and not name.startswith(AS_THEY_ARE):
            method = _Pools(method, self.random)
        setattr(self, name, method)  # the next time this isn't called any more
        return method


class _Pools:
    """One method of Faker; for each set of arguments the values that it drew."""

    def __init__(self, draw: Callable[..., Any], random: Random) -> None:
        self._draw = draw
        self._choose = random.choice
        self._plain: list[Any] = []
        self._pools: dict[Hashable, list[Any]] = {}

    def __call__(self, *args: Any, **words: Any) -> Any:
        pool = self._pool_of(args, words) if args or words else self._plain
        if pool is None:
            return self._draw(*args, **words)
        if len(pool) >= POOL:
            return self._choose(pool)
        pool.append(self._draw(*args, **words))
        return pool[-1]

    def _pool_of(self, args: tuple[Any, ...], words: dict[str, Any]) -> list[Any] | None:
        """The pool of these arguments; none where they can't be a key, or are ever new ones."""
        key = (args, tuple(words.items()))
        try:
            pool = self._pools.get(key)
        except TypeError:  # a list, a dict
            return None
        if pool is None and len(self._pools) < MAX_POOLS:
            pool = self._pools[key] = []
        return pool
