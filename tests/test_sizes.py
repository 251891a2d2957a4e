"""A file holds one idea and a function fits a screen: their lengths are looked at."""

import ast
from textwrap import indent

import pytest

from tests.import_graph import ROOMS, ROOT

MOST_FILE_LINES = 300
MOST_FUNCTION_LINES = 60  # its docstring not counted
FOLDERS = sorted({*ROOMS, "tests"})


def too_long(source: str, name: str) -> list[str]:
    """One line for a file, and for each function of it, that is too long."""
    found = []
    lines = len(source.splitlines())
    if lines > MOST_FILE_LINES:
        found.append(f"{name} has {lines} lines, more than {MOST_FILE_LINES}: take out what is an idea of its own")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > MOST_FUNCTION_LINES:
            found.append(f"{name}, line {node.lineno}: {node.name} has {body_lines(node)} lines")
    return found


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From `def` to the last line, without the docstring."""
    assert function.end_lineno is not None
    lines, first = function.end_lineno - function.lineno + 1, function.body[0]
    if ast.get_docstring(function) is None:
        return lines
    assert first.end_lineno is not None
    return lines - (first.end_lineno - first.lineno + 1)


@pytest.mark.parametrize("folder", FOLDERS)
def test_files_and_functions_are_short(folder: str):
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert paths
    assert [line for path in paths for line in too_long(path.read_text(), str(path.relative_to(ROOT)))] == []


def function(lines: int, docstring: str = "") -> str:
    return "\n".join(["def f():", *([f'    """{docstring}"""'] if docstring else []), *["    pass"] * (lines - 1)])


def test_what_is_too_long_is_seen():
    assert too_long("x = 1\n" * 300, "a.py") == []
    assert too_long("x = 1\n" * 301, "a.py") == [
        "a.py has 301 lines, more than 300: take out what is an idea of its own"
    ]
    assert too_long(function(60), "a.py") == []
    assert too_long(function(61), "a.py") == ["a.py, line 1: f has 61 lines"]
    assert too_long(function(60, "What it is."), "a.py") == []
    method = indent(f"async {function(61)}", "    ")
    assert too_long(f"class A:\n{method}", "a.py") == ["a.py, line 2: f has 61 lines"]
