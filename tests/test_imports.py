"""Imports point one way between the rooms (docs: README, "Layout")."""

import ast
from pathlib import Path

import pytest

from tests.import_graph import ROOMS as FOLDERS
from tests.import_graph import ROOT, imported, module_name, python_files
from tests.rooms import README, readme_with_table, room_of, within


def wrong_imports(source: str, module: str, is_package: bool = False) -> list[str]:
    """One line for each import of `module` that points the wrong way."""
    room, wrong = room_of(module), []
    for line, name in imported(ast.parse(source), module, is_package):
        if name.split(".")[0] not in (*FOLDERS, "tests"):
            continue
        if room is None:
            wrong.append(f"{module}, line {line}: imports {name}, but tests/rooms.py has no room for {module}")
            continue
        if not any(within(name, prefix) for prefix in (room.name, *room.imports)):
            wrong.append(f"{module}, line {line}: imports {name}, but {room.name} may use only {list(room.imports)}")
    return wrong


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path):
    assert wrong_imports(path.read_text(), module_name(path), path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("sim.reference.rescale", "from gateware.config import AcceleratorConfig"),
        ("sim.reference.rescale", "from sim.emulator import board"),
        ("gateware.array.grid", "import firmware.compiler"),
        ("gateware.array.grid", "from ...host import run"),
        ("firmware.compile", "from gateware.array import grid"),
        ("firmware.compile", "from gateware import array"),
        ("firmware.program.file", "from firmware.compiler.compiled import Compiled"),
        ("firmware.compile", "def late():\n    import hw.build"),
        ("firmware.compile", "importlib.import_module('host.run')"),
        ("host.run", "from sim.cocotb import link"),
        ("hw.build", "from host import run"),
        ("gateware.isa", "from tests.shared_data import shared_data"),
    ],
)
def test_a_wrong_import_is_seen(module: str, source: str):
    assert len(wrong_imports(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("sim.reference.rescale", "from . import rounding\nfrom .rounding import rne\nimport numpy as np"),
        ("gateware.softmax.shiftmax", "from sim.reference.shiftmax import Shiftmax"),
        ("firmware.compile", "from gateware import config, isa\nfrom gateware.isa import Opcode"),
        ("host.run", "from sim.emulator.board import Board\nfrom gateware.link.packets import crc"),
    ],
)
def test_a_right_import_passes(module: str, source: str):
    assert wrong_imports(source, module) == []


def test_the_readme_has_the_table():
    text = README.read_text()
    assert text == readme_with_table(text), "write it anew: python -m tests.rooms"
