"""A class name stands for one thing in the whole package."""

import ast
from collections import defaultdict
from pathlib import Path

import audiocodec

PACKAGE = Path(audiocodec.__file__).parent
EXCEPTIONS: dict[str, str] = {}  # name: why it may stand for two things


def test_class_names_are_unique():
    """No name is defined in two modules, but for the reasoned exceptions."""
    homes = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(path.relative_to(PACKAGE).as_posix())
    repeated = {name: found for name, found in homes.items() if len(found) > 1}
    assert repeated.keys() == EXCEPTIONS.keys(), repeated
