"""Ports for servers that must know theirs before they start, as the members of a replica set do.

They are taken below the range from which the kernel gives outgoing connections theirs:
a member that was killed finds its port free when it comes back.
"""

import random
import socket

RANGE = (15_000, 32_000)


def free_ports(number: int) -> list[int]:
    """So many free ports in a row.

    At random, since other tests look for theirs at the same time.
    """
    for _ in range(1_000):
        first = random.randrange(*RANGE)
        ports = list(range(first, first + number))
        if all(map(_is_free, ports)):
            return ports
    raise AssertionError(f"no {number} free ports in a row within {RANGE}")


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
