"""The modules of the package that declares documents; a mistake in one of them is one line."""

import importlib
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from app.errors import DeclarationError


def find_packages_here() -> None:
    """Lets `MODELS` and `ROUTES` name a package of the folder where the program is started.

    `python -m` does so by itself. That folder comes last, so that nothing in it hides a module of
    Python's, or of ours; but its own `models` go before those that are installed with us.
    """
    for folder in (Path(__file__).parents[2], Path.cwd()):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    if _ModelsHere not in sys.meta_path:
        sys.meta_path.insert(0, _ModelsHere)


class _ModelsHere(MetaPathFinder):
    """Finds `models` in the folder where the program is started, where that has any."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        here = Path.cwd()
        if name != "models" or not any(Path(here, name).rglob("*.py")):
            return None
        return PathFinder.find_spec(name, [str(here)])


def import_modules(
    package: str, setting: str = "MODELS", content: str = "documents"
) -> list[ModuleType]:
    """The package and the modules in it, imported; `setting` names it, for its content.

    Raises `DeclarationError` with file and line for a mistake in them: `models/book.py, line 4: …`.
    """
    absent = f"{setting}: there is no package {package!r} to import {content} from."
    root = _import(package, absent)
    modules = [root]
    for name in _list_names(package, getattr(root, "__path__", [])):
        module = _import(name, absent)
        is_package = hasattr(module, "__path__")
        modules += import_modules(name, setting, content) if is_package else [module]
    return modules


def _list_names(package: str, folders: Iterable[str]) -> list[str]:
    """The modules and packages in these folders, also packages without `__init__.py`."""
    names = {info.name for info in pkgutil.iter_modules(folders)}
    for folder in folders:
        inner = {path.relative_to(folder).parts[0] for path in Path(folder).glob("*/**/*.py")}
        names |= {name for name in inner if name.isidentifier()}
    return [f"{package}.{name}" for name in sorted(names)]


def locate(model: type) -> str:
    """Where a class is declared, as `models/book.py, line 4`."""
    file = inspect.getsourcefile(model)
    try:
        line = inspect.getsourcelines(model)[1]
    except (OSError, TypeError):
        return model.__module__
    return f"{_shorten(str(file))}, line {line}"


def _import(name: str, absent: str) -> ModuleType:
    if name.startswith("."):  # a path, such as `./models`
        raise DeclarationError(absent)
    try:
        return importlib.import_module(name)
    except DeclarationError:
        raise
    except ModuleNotFoundError as error:
        if f"{name}.".startswith(f"{error.name}."):
            raise DeclarationError(absent) from None
        raise DeclarationError(_describe(error, name)) from error
    except Exception as error:
        raise DeclarationError(_describe(error, name)) from error


def _describe(error: Exception, name: str) -> str:
    """The file and the line of the mistake, and what Python says of it."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shorten(error.filename)}, line {error.lineno}: {error.msg}."
    reason = str(error).partition("\n")[0].partition(" (/")[0].rstrip(".")  # without a path
    what = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    return f"{_find_line(error, name)}: {what}."


def _find_line(error: Exception, name: str) -> str:
    """The innermost line that is in the package, not in what it imports."""
    spec = importlib.util.find_spec(name.partition(".")[0])
    folders = [*(spec.submodule_search_locations or [])] if spec else []
    origin = spec.origin if spec else None
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename == origin or frame.filename.startswith(tuple(f"{f}/" for f in folders)):
            return f"{_shorten(frame.filename)}, line {frame.lineno}"
    return name


def _shorten(file: str) -> str:
    """A file's path as it is written from the folder where the command was started."""
    path = Path(file)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
