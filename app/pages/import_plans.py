"""How a file is read and what is done with its rows: guessed, then as a form says it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from app.api.access import Access
from app.api.import_runs import may_use
from app.errors import Fault, Invalid
from app.pages.matching import Matching, choose_key
from app.query.parameters import DELIMITERS, FORMULAS, MODES, ON_ERROR
from app.spreadsheets.cells import zone
from app.spreadsheets.ingest import ERROR
from app.transfers.inspections import Found
from app.transfers.kept_imports import Kept, Plan, Reading, Steps
from app.transfers.keys import possible_keys

ENCODINGS = (
    "utf-8", "gb18030", "utf-16", "big5", "shift_jis", "euc-kr", "windows-1252", "iso-8859-1",
)  # fmt: skip
READABLE = ("xlsx", "csv", "ndjson", "json")


def make_matching(access: Access) -> Matching:
    """The fields that a file of this caller may have."""
    views = access.repository.reach.compilers.views
    return Matching(views, access.view.whole.name)


def guess_steps(access: Access, reading: Reading, found: Found, last: Kept | None) -> Steps:
    """The likeliest steps: those of the upload before, where the columns are the same.

    So whoever uploads a sheet that is fixed need not match its columns again.
    """
    plan = guess_plan(access, found)
    if last is None or not _is_same_table(found, last.steps.found):
        return Steps(reading, found, plan)
    before = last.steps
    if not may_use(access, before.plan.mode):
        return Steps(reading, found, plan)
    matching = make_matching(access)
    chosen = dict(zip(before.found.titles, before.plan.paths, strict=False))
    paths = [chosen.get(title, "") for title in found.titles]
    known = tuple(path if matching.has(path) else "" for path in paths)
    reading = replace(reading, timezone=before.reading.timezone)
    return Steps(reading, found, replace(before.plan, paths=known, on_error=ON_ERROR[0]))


def _is_same_table(found: Found, before: Found) -> bool:
    """Whether the columns are the same, but for that of a sheet that says what is wrong."""
    titles = [title for title in found.titles if title != ERROR or title in before.titles]
    return bool(titles) and titles == before.titles


def guess_plan(access: Access, found: Found) -> Plan:
    """The likeliest plan: documents are changed where the file says which."""
    paths = make_matching(access).guess(found)
    modes = [mode for mode in MODES if may_use(access, mode)]
    key = choose_key(possible_keys(access.view.resource), paths)
    if any('"_id":' in document for document in found.documents):
        key = "_id"
    if key and "upsert" in modes:
        return Plan(paths, "upsert", key)
    return Plan(paths, modes[0] if modes else "insert", key)


def read_reading(form: Mapping[str, str], steps: Steps) -> Reading:
    """How the form says that the file is to be read; raises `Invalid`."""
    before = steps.reading
    known: Mapping[str, Sequence[str]] = {
        "format": READABLE,
        "encoding": ("", *ENCODINGS, *list_found(steps, "encoding")),
        "delimiter": ("", *DELIMITERS),
        "formulas": FORMULAS,
    }
    words = {name: form.get(name, getattr(before, name)) for name in (*known, "sheet")}
    for name, possible in known.items():
        _require_one_of(name, words[name], possible)
    return Reading(**words, timezone=before.timezone)


def read_plan(form: Mapping[str, str], access: Access, steps: Steps) -> Steps:
    """What the form says of columns and rows; raises `Invalid`."""
    before = steps.plan
    paths = tuple(
        form.get(f"column.{position}", path).strip() for position, path in enumerate(before.paths)
    )
    words = {name: form.get(name, getattr(before, name)) for name in ("mode", "key", "on_error")}
    _require_one_of("mode", words["mode"], [mode for mode in MODES if may_use(access, mode)])
    _require_one_of("on_error", words["on_error"], ON_ERROR)
    local = form.get("timezone", steps.reading.timezone).strip() or "UTC"
    zone(local)
    return Steps(replace(steps.reading, timezone=local), steps.found, Plan(paths, **words))


def check_plan(access: Access, steps: Steps) -> None:
    """Raises `Invalid` where the columns, or those of the key, can't be."""
    found, plan = steps.found, steps.plan
    if found.error:
        raise Invalid(found.error)
    if found.columns is None:
        return
    make_matching(access).check(found, plan.paths)
    if plan.mode == "insert":
        return
    for path in filter(None, plan.key.split(",")):
        if path not in plan.paths:
            detail = f"key: the file has no column {path!r}, by which documents are found."
            raise Invalid(detail, Fault(detail, parameter="key"))


def list_found(steps: Steps, name: str) -> list[str]:
    """What was found of how the file is read, if something was."""
    word = steps.found.findings.get(name)
    return [word] if word else []


def _require_one_of(name: str, word: str, possible: Sequence[str]) -> None:
    if word not in possible:
        detail = f"{name}: must be one of: {' '.join(filter(None, possible))}; not {word[:60]!r}."
        raise Invalid(detail, Fault(detail, parameter=name))
