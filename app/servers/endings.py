"""Why a mongod ended, by its exit status and its log: one sentence that says what to do."""

import json
import shutil
import signal
from pathlib import Path

LOG = "mongod.log"  # this start's; the start before it is in `mongod.log.1`
FULL_BYTES = 4 * 1024 * 1024  # free on a disk on which no mongod runs
JOURNAL_BYTES = 100 * 1024 * 1024  # of a file of the journal; without room for one, mongod aborts
MAX_LOG = 200_000  # characters of the log's end that are looked at
MAX_WORDS = 300  # characters of mongod's own message that are repeated
# mongod's exit statuses (https://www.mongodb.com/docs/manual/reference/exit-codes/).
CANNOT_LISTEN, INCOMPATIBLE, UNCAUGHT = 48, 62, 100
PACKAGES = {  # Debian's and Ubuntu's
    "libcurl.so.4": "libcurl4",
    "libcrypto.so.3": "libssl3",
    "libssl.so.3": "libssl3",
    "liblzma.so.5": "liblzma5",
    "libgcc_s.so.1": "libgcc-s1",
}
DAMAGE = (  # what WiredTiger says of broken files
    "data corruption",
    "read checksum error",
    "fatal turtle file read error",
    "WT_TRY_SALVAGE",
)
ELSE = "or set MONGO_URI to a MongoDB of your own (`docker compose up` starts one)"


def explain(status: int, folder: Path, address: str) -> str:
    """Why a mongod ended, by its exit status and its log: one sentence that says what to do."""
    log = _read_log(folder)
    if library := _between(log, "error while loading shared libraries: ", ":"):
        package = PACKAGES.get(library)
        install = (
            f"install the package {package} (`sudo apt-get install {package}`)"
            if package
            else "install it"
        )
        return f"mongod needs the library {library}, which is missing here: {install}, {ELSE}."
    if "version `GLIBC" in log:
        return (
            "This system's C library is too old for the mongod of the wheel: put another "
            f"mongod on PATH, {ELSE}."
        )
    if status == -signal.SIGILL:
        return (
            f"This processor lacks AVX, which this mongod needs: put an older one on PATH, {ELSE}."
        )
    if is_full(status, folder) or "No space left" in log or "available disk space" in log:
        return explain_full(folder)
    for refusal in ("Permission denied", "Read-only file system", "read-only directory"):
        if refusal in log:
            return explain_not_writable(folder, refusal)
    if status == INCOMPATIBLE:
        return (
            f"The data folder {folder} was written by another version of mongod: set DATA_DIR "
            "to another folder."
        )
    reason = _read_last_words(log)
    if "storage engine" in reason:
        return (
            f"The data folder {folder} was made by a mongod with other options ({reason}): set "
            "DATA_DIR to another folder."
        )
    if any(sign in log for sign in DAMAGE):
        return (
            f"The database's files in the data folder {folder} are damaged; {folder / LOG} has "
            "more: restore a backup of the folder, or set DATA_DIR to another one."
        )
    if status == UNCAUGHT and ("DBPathInUse" in log or not reason):
        return (
            f"Another mongod uses the data folder {folder}: end it, or set DATA_DIR to another "
            "folder."
        )
    if status == CANNOT_LISTEN:
        return (
            f"mongod can't listen at {address}, which another process uses: choose another "
            "port or folder."
        )
    words = f": {reason}" if reason else ""
    return (
        f"mongod ended with status {status}{words}; see {folder / LOG}, or set DATA_DIR to "
        "another folder."
    )


def is_full(status: int, folder: Path) -> bool:
    """Whether a mongod that ended had no room on its disk; its log may have had none either."""
    needed = JOURNAL_BYTES if status == -signal.SIGABRT else FULL_BYTES
    try:
        return shutil.disk_usage(folder).free < needed
    except OSError:  # the folder is gone
        return False


def explain_full(folder: Path) -> str:
    """The sentence for a full disk."""
    return (
        f"The disk of the data folder {folder} is full: free some space, or set DATA_DIR to a "
        "folder elsewhere."
    )


def explain_not_writable(folder: Path, reason: str | None) -> str:
    """The sentence for a data folder that can't be written."""
    why = (reason or "no reason given").lower()
    return (
        f"The data folder {folder} can't be written ({why}): make it writable, or set DATA_DIR "
        "to another folder."
    )


def _read_log(folder: Path) -> str:
    try:
        return Path(folder, LOG).read_text(errors="replace")[-MAX_LOG:]
    except OSError:
        return ""


def _between(text: str, before: str, after: str) -> str:
    _, found, rest = text.partition(before)
    return rest.partition(after)[0] if found else ""


def _read_last_words(log: str) -> str:
    """The message of the log's last line of severity E or F."""
    for line in reversed(log.splitlines()):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("s") in ("E", "F"):
            reason = (
                entry.get("attr", {}).get("error") or entry.get("attr", {}).get("message") or ""
            )
            return f"{entry.get('msg')} {reason}".strip()[:MAX_WORDS]
    return ""
