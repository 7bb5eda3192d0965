"""The formats of files, one module each: a module with a `FORMAT` is all that a new one takes."""

import importlib
import pkgutil

from app.spreadsheets.format import Format


def _discover() -> dict[str, Format]:
    modules = [
        importlib.import_module(f"{__name__}.{info.name}")
        for info in pkgutil.iter_modules(__path__)
    ]
    formats = [
        module.FORMAT for module in modules if isinstance(getattr(module, "FORMAT", None), Format)
    ]
    return {name: found for found in formats for name in found.names}


FORMATS: dict[str, Format] = _discover()
