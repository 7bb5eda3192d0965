"""Filters through links: what describes them, and what is said where a name is no filter."""

import pytest

from app.errors import Invalid
from app.query.compile import Compiler
from app.resources.registry import discover
from tests.support.compilers import compiler_of


@pytest.fixture(scope="module")
def students() -> Compiler:
    resources = discover("models")
    return compiler_of(resources["students"], resources.values())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("clas.nme", "Did you mean 'clas.name'?"),
        ("clss.name", "Did you mean 'clas.name'?"),
        ("clas.nme__contains", "Did you mean 'clas.name__contains'?"),
        ("clas.name__contain", "'clas.name' has no operator 'contain'; it has eq, ne,"),
        ("courses.teacher.tno__contains", "'courses.teacher.tno' has no operator 'contains'"),
        ("courses.teacher.nam", "Did you mean 'courses.teacher.name'?"),
        ("courses.0.name", "Did you mean 'courses.name'?"),
    ],
)
def test_the_nearest_of_the_linked_resource_is_named(
    students: Compiler, name: str, sentence: str
) -> None:
    with pytest.raises(Invalid) as caught:
        students.list([(name, "x")])
    assert sentence in caught.value.detail
    assert [fault.parameter for fault in caught.value.faults] == [name]


@pytest.mark.parametrize("name", ["clas.pwd", "courses.teacher.pwd"])
def test_excluded_fields_behind_links_are_not_there(students: Compiler, name: str) -> None:
    with pytest.raises(Invalid, match="there is no such parameter here"):
        students.list([(name, "x")])


def test_filters_through_links_are_described_one_link_deep(students: Compiler) -> None:
    described = students.names.filters()
    through = {name: asked for name, asked in described.items() if asked.links}
    assert {"clas.name", "clas.name__contains", "courses.name", "courses.teacher"} <= set(through)
    assert not any(name.startswith(("courses.teacher.", "clas._id")) for name in through)
    for name, asked in through.items():
        assert students.names.find_lookup(name) == asked
    assert through["courses.name__in"].path == "courses.name"
