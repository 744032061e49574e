"""docs/private-parts.md names all that we use of libraries and that they do not promise."""

import ast
import configparser
import importlib
import inspect
import platform
import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, NamedTuple

import pytest
from packaging.requirements import Requirement

from presence_server.resources import ROOT
from testing import release

PACKAGE = ROOT / "presence_server"
# Named like private parts, and promised.
PROMISED = {"os._exit", "sys._current_frames"}
OF_NAMED_TUPLES = {"_asdict", "_fields", "_make", "_replace"}


class Part(NamedTuple):
    name: str
    file: str


def read_page() -> tuple[list[Requirement], list[Part]]:
    page = (ROOT / "docs" / "private-parts.md").read_text()
    libraries = [Requirement(line) for line in re.findall(r"^## (.+)$", page, re.MULTILINE)]
    parts = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|", page, re.MULTILINE)
    return libraries, [Part(*part) for part in parts]


LIBRARIES, PARTS = read_page()


@pytest.mark.parametrize("name", sorted({part.name for part in PARTS}))
def test_a_private_part_is_still_there(name: str) -> None:
    assert is_there(name), f"{name} is gone: see docs/private-parts.md"


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)
def test_no_other_version_is_let_in(library: Requirement) -> None:
    if library.name == "Python":
        promised = {*release.PYTHONS, platform.python_version()}
        assert all(map(library.specifier.contains, promised))
        return
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options"]["install_requires"].split()
    (wanted,) = [r for r in map(Requirement, lines) if r.name == library.name]
    assert wanted.specifier == library.specifier
    assert library.specifier.contains(version(library.name))


def test_all_that_we_use_is_named() -> None:
    used = {part for path in PACKAGE.rglob("*.py") for part in uses(path)}
    named = {(file, part.rpartition(".")[2]) for part, file in PARTS}
    missing = {use for use in used if not any(is_for(use, name) for name in named)}
    needless = {name for name in named if not any(is_for(use, name) for use in used)}
    assert (missing, needless) == (set(), set())


def is_for(use: tuple[str, str], name: tuple[str, str]) -> bool:
    return use[0].startswith(name[0]) and use[1] == name[1]


def is_there(name: str) -> bool:
    owner, _, attribute = name.rpartition(".")
    try:
        return has(resolve(owner), attribute)
    except AttributeError:
        return False


def resolve(name: str) -> Any:
    """A module, or what it holds."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        owner, _, attribute = name.rpartition(".")
        return getattr(resolve(owner), attribute)


def has(owner: Any, attribute: str) -> bool:
    if hasattr(owner, attribute):
        return True
    # Given to each instance, or to those of what is derived from it.
    source = inspect.getsource(inspect.getmodule(owner) or owner)
    return re.search(rf"self\.{attribute}\b", source) is not None


def uses(path: Any) -> Iterator[tuple[str, str]]:
    """The private names that a file uses of what is not its own."""
    file = path.relative_to(PACKAGE).as_posix()
    tree = ast.parse(path.read_text())
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if not is_own(node.value) and ast.unparse(node) not in PROMISED:
                yield file, node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr"):
            yield from ((file, name) for name in texts(node) if is_private(name))
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    if own:
        yield from ((file, name) for name in inherited(importlib.import_module(module), tree))


def inherited(module: Any, tree: ast.Module) -> Iterator[str]:
    """What our classes use, or replace, of the libraries' that they are derived from."""
    for node in ast.walk(tree):
        cls = getattr(module, node.name, None) if isinstance(node, ast.ClassDef) else None
        if cls is None:
            continue
        foreign = [c for c in cls.__mro__ if not c.__module__.startswith("presence_server")]
        names = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
        names |= {n.name for n in ast.walk(node) if isinstance(n, ast.FunctionDef)}
        names |= {n.name for n in ast.walk(node) if isinstance(n, ast.AsyncFunctionDef)}
        for name in filter(is_private, names):
            if any(defines(c, name) for c in foreign if c.__module__ != "builtins"):
                yield name


def defines(cls: type, name: str) -> bool:
    if name in vars(cls):
        return True
    try:
        return re.search(rf"self\.{name}\b", inspect.getsource(cls)) is not None
    except (OSError, TypeError):
        return False


def is_private(name: str) -> bool:
    dunder = name.startswith("__")
    return name.startswith("_") and len(name) > 1 and not dunder and name not in OF_NAMED_TUPLES


def is_own(value: ast.expr) -> bool:
    """Whether a name begins at ourselves; relay/memory.py looks into others of its kind."""
    return ast.unparse(value) in ("self", "cls", "relay")


def texts(call: ast.Call) -> Iterator[str]:
    for argument in call.args:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument.value
