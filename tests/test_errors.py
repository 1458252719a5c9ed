"""Every error of the project is in one tree, and the tree is drawn in one place."""

import importlib
import pkgutil
import re
from types import ModuleType

import forethought
import forethought_patterns
import forethought_tools
from forethought_tools import errors

# Programs of their own, which import nothing of ours: their errors stay within them.
PROGRAMS = ("__main__", "tables_child", "documents_child", "filling", "grids", "bases", "differences")


def _modules(package: ModuleType) -> list[ModuleType]:
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return [importlib.import_module(each.name) for each in found if not each.name.endswith(PROGRAMS)]


def _drawn() -> dict[str, str]:
    """Each error in the drawing, and the name of its parent."""
    parents: dict[str, str] = {}
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        if found := re.fullmatch(r"    ([│├└─ ]*)(\w+Error) +\S.*", line):
            depth, name = len(found[1]) // 4, found[2]
            above[depth] = name
            parents[name] = above[depth - 1] if depth else "Exception"
    return parents


def test_every_error_is_drawn_with_its_parent_and_a_sentence() -> None:
    defined = {
        each.__name__: each.__base__.__name__
        for package in (forethought, forethought_patterns, forethought_tools)
        for module in _modules(package)
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Exception) and each.__module__ == module.__name__
        if each.__base__ and not each.__name__.startswith("_")  # those stay within their file
    }
    assert defined == _drawn()


def test_every_error_says_what_it_means() -> None:
    for name in errors.__all__:
        assert getattr(errors, name).__doc__, name
