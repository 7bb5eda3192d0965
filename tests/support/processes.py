"""Processes as `/proc` shows them; one that has ended is none, even before its parent knows."""

from pathlib import Path

PROC = Path("/proc")


def lives(pid: int) -> bool:
    """Whether there is such a process."""
    return _parent(pid) is not None


def children(parent: int) -> dict[int, str]:
    """The processes that a process started, each with its command line."""
    found = {}
    for folder in PROC.glob("[0-9]*"):
        pid = int(folder.name)
        if _parent(pid) == parent:
            found[pid] = command_line(pid)
    return found


def family(pid: int) -> set[int]:
    """All processes below one."""
    below = set(children(pid))
    return below.union(*(family(child) for child in below))


def command_line(pid: int) -> str:
    """The words that a process was started with; empty where it is gone."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def environment(pid: int) -> dict[str, str]:
    """The variables with which a process was started."""
    lines = (PROC / str(pid) / "environ").read_bytes().decode().split("\0")
    return dict(line.split("=", 1) for line in lines if "=" in line)


def find_processes(*words: str) -> list[int]:
    """The processes whose command line holds all of these words."""
    found = [int(folder.name) for folder in PROC.glob("[0-9]*")]
    return [pid for pid in found if all(word in command_line(pid) for word in words)]


def private_bytes(pid: int) -> int:
    """The memory that a process shares with no other."""
    lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private"))


def _parent(pid: int) -> int | None:
    """The parent of a process that lives."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[1])
