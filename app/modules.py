"""Which functions a module offers to the engine.

A module that has a list named ``workflows`` or ``activities`` offers what stands in them. Any other module offers
every function in it that carries the decorator `holdfast.workflow` or `holdfast.activity`, its own or imported.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

__all__ = ["Functions", "load_functions"]

_MARKS: Final = {"workflows": "__holdfast_workflow__", "activities": "__holdfast_activity__"}
"""The attribute that each decorator leaves on a function."""


@dataclass(slots=True)
class Functions:
    """The functions of some modules, each once, in the order they were found."""

    workflows: list[Any] = field(default_factory=list)
    activities: list[Any] = field(default_factory=list)


def load_functions(names: Iterable[str]) -> Functions:
    """Import modules, from the working directory too, and gather what they offer.

    Raises:
        StartupError: A module cannot be imported, or offers nothing.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    functions = Functions()
    for name in names:
        module = _import(name)
        offered = {kind: _offered(module, kind) for kind in _MARKS}
        if not any(offered.values()):
            message = f"module {name!r} has no workflows and no activities: decorate some, or list them in `workflows`"
            raise StartupError(message)
        functions.workflows += [one for one in offered["workflows"] if one not in functions.workflows]
        functions.activities += [one for one in offered["activities"] if one not in functions.activities]
    return functions


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = "" if frame.filename.startswith("<frozen") else f" ({Path(frame.filename).name}, line {frame.lineno})"
        message = f"module {name!r} cannot be imported: {type(error).__name__}: {error}{where}"
        raise StartupError(message) from error


def _offered(module: ModuleType, kind: str) -> list[Any]:
    content = vars(module)
    if any(isinstance(content.get(each), list | tuple) for each in _MARKS):
        listed = content.get(kind, [])
        return list(listed) if isinstance(listed, list | tuple) else []
    return [value for value in content.values() if callable(value) and hasattr(value, _MARKS[kind])]
