"""Ports for servers that must know theirs before they start, as the members of a replica set do.

They are taken below the range from which the kernel gives outgoing connections theirs:
a member that was killed finds its port free when it comes back.
"""

import os
import random
import socket

WORKERS = 4  # processes of tests, of which each has ports of its own; more of them share these
PORTS = 4_000  # of each
RANGES = [
    range(15_000 + PORTS * worker, 15_000 + PORTS * (worker + 1)) for worker in range(WORKERS)
]


def free_ports(number: int) -> list[int]:
    """So many free ports in a row.

    At random, since other runs of tests look for theirs at the same time.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = RANGES[worker % WORKERS]
    for _ in range(1_000):
        first = random.choice(own[: -number + 1 or None])
        ports = list(range(first, first + number))
        if all(map(_is_free, ports)):
            return ports
    raise AssertionError(f"no {number} free ports in a row within {own}")


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
