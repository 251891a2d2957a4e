"""The compiler launcher: Verilator's runtime once, everything else every time."""

import sys
from pathlib import Path

import pytest

from sim.verilator import object_cache

COMPILER = """
import sys, pathlib
arguments = sys.argv[1:]
log = pathlib.Path("log")
log.write_text(log.read_text() + "x" if log.exists() else "x")
source = next(pathlib.Path(word) for word in arguments if word.endswith(".cpp"))
if "fail" in source.read_text():
    sys.exit(3)
pathlib.Path(arguments[arguments.index("-o") + 1]).write_text(" ".join(arguments[:-3]) + source.read_text())
"""


@pytest.fixture
def compile_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Compiles a source with options through the launcher; returns status, object, and how often the compiler ran."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compiler.py").write_text(COMPILER)

    def run(name: str, content: str, *options: str) -> tuple[int, str, int]:
        (tmp_path / name).write_text(content)
        (tmp_path / "out.o").unlink(missing_ok=True)
        command = [sys.executable, "compiler.py", *options, "-c", "-o", "out.o", str(tmp_path / name)]
        status = object_cache.main(tmp_path / "objects", command)
        made = (tmp_path / "out.o").read_text() if (tmp_path / "out.o").exists() else ""
        return status, made, len((tmp_path / "log").read_text())

    return run


def test_the_runtime_is_compiled_once(compile_):
    first = compile_("verilated.cpp", "a", "-O1")
    assert first[2] == 1 and compile_("verilated.cpp", "a", "-O1") == first


def test_other_options_or_content_are_another_object(compile_):
    objects = [
        compile_("verilated.cpp", content, option)[:2] for content, option in (("a", "-O1"), ("a", "-O2"), ("b", "-O1"))
    ]
    assert len(set(objects)) == 3


def test_a_designs_files_and_those_that_include_it_are_always_compiled(compile_):
    for name in ("verilator.cpp", "Vtop.cpp"):
        runs = compile_(name, "a")[2]
        assert compile_(name, "a")[2] == runs + 1


def test_a_failure_is_the_compilers_and_is_not_kept(compile_):
    assert compile_("verilated.cpp", "fail")[:2] == (3, "")
    assert compile_("verilated.cpp", "fail") == (3, "", 2)
