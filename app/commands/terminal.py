"""Where commands write: results to standard output, all else to standard error."""

import sys

from rich.console import Console

out = Console(soft_wrap=True, highlight=False, markup=False)
err = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


def can_ask() -> bool:
    """Whether a person sits there who can answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()
