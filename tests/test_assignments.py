"""What an object holds is changed by itself: from outside, nobody assigns to it."""

import ast
from collections.abc import Iterator
from pathlib import Path

from presence_server.resources import ROOT

PACKAGE = ROOT / "presence_server"
# Records of what is known of one thing: they belong to those beside them, which keep the rules.
RECORDS = {
    "accounts/importing.py": {"Plan"},
    "apps": {"Line"},
    "live": {"Observer"},
    "presence": {"Answer", "Member", "Peer"},
    "relay/door.py": {"_Sender"},
}
# Of libraries, which offer no other way.
OF_LIBRARIES = {
    "collector.py": {"error.__traceback__"},
    "logs.py": {
        "logging._srcfile",
        "logging.logMultiprocessing",
        "logging.logProcesses",
        "logging.logThreads",
        "sys.unraisablehook",
        "threading.excepthook",
    },
    "serving.py": {"giving_up.daemon"},
    "storage/schema.py": {"connection.text_factory"},
    "storage/sqlite.py": {"self._thread.daemon"},
    "web/bodies.py": {"request.writer.output_size"},
    "web/connection.py": {
        "match.route._handler",
        "self._first_transport._read_ready_cb",
        "self.transport.max_size",
        "transport.max_size",
    },
    "web/runner.py": {"writer.buffer_size", "writer.output_size"},
}


def assigned_from_outside(tree: ast.AST) -> Iterator[ast.Attribute]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                yield node


def attributes(place: Path, records: set[str]) -> Iterator[str]:
    """What the records in a file or folder hold."""
    for path in [place] if place.is_file() else place.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and node.name in records:
                yield from fields(node)


def fields(record: ast.ClassDef) -> Iterator[str]:
    for node in ast.walk(record):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            yield node.attr


def test_nothing_is_assigned_from_outside_but_to_records() -> None:
    kept = {place: {*attributes(PACKAGE / place, of)} for place, of in RECORDS.items()}
    others: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        own = kept.get(name, set()) | kept.get(name.rpartition("/")[0], set())
        for node in assigned_from_outside(ast.parse(path.read_text())):
            if not (isinstance(node.value, ast.Name) and node.attr in own):
                others.setdefault(name, set()).add(ast.unparse(node))
    assert others == OF_LIBRARIES
