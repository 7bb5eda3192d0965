"""Which process of pytest-xdist runs what: the tests of a file are run by one.

So are all tests on the set of three: it takes seconds to start, and its members are never idle.
"""

from xdist.scheduler import LoadFileScheduling

ON_THE_SET = (
    "tests/replica_set/",
    "tests/servers/test_replica_set.py",
    "tests/commands/test_doctor.py",
)


def is_on_the_set(nodeid: str) -> bool:
    """Whether this test is one of those that share the set of three."""
    return nodeid.startswith(ON_THE_SET)


class Distribution(LoadFileScheduling):
    """By file, as `--dist loadfile`, and what is on the set of three together."""

    def _split_scope(self, nodeid: str) -> str:
        return "the set of three" if is_on_the_set(nodeid) else super()._split_scope(nodeid)
