"""Imports point one way between the rooms (docs: README, "Layout")."""

import ast
from pathlib import Path

import pytest

from tests.import_graph import ROOMS, ROOT, imported, module_name, python_files

# module prefix -> the prefixes it may import from; the longest matching prefix of a module decides.
ALLOWED = {
    "sim.reference": {"sim.reference"},
    "gateware": {"gateware", "sim.reference"},
    "firmware": {"firmware", "sim.reference", "gateware.config", "gateware.counters", "gateware.isa"},
    # A program is read without the compiler.
    "firmware.program": {"firmware.program", "sim.reference", "gateware.config", "gateware.counters", "gateware.isa"},
    "hw": {"hw", "gateware", "firmware", "sim.reference"},  # models, where sizes are explored for one
    "sim": {"sim", "gateware", "firmware"},
    "sim.studies": {"sim", "gateware", "firmware", "hw.units"},  # what a variant's unit takes
    "sim.ablation": {"sim.studies"},
    "sim.bench": {"sim.studies"},
    "sim.emulator": {"sim", "gateware", "firmware", "hw.dram"},  # the emulated board may have LiteDRAM's controller
    "host": {
        "host",
        "firmware",
        "sim.reference",
        "sim.emulator",
        "gateware.config",
        "gateware.counters",
        "gateware.link",
        "gateware.isa",
    },
}


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def wrong_imports(source: str, module: str, is_package: bool = False) -> list[str]:
    """One line for each import of `module` that points the wrong way."""
    room = max((prefix for prefix in ALLOWED if within(module, prefix)), key=len)
    wrong = []
    for line, name in imported(ast.parse(source), module, is_package):
        ours = name.split(".")[0] in (*ROOMS, "tests")
        if ours and not any(within(name, prefix) for prefix in ALLOWED[room]):
            wrong.append(f"{module}, line {line}: imports {name}, but {room} may use only {sorted(ALLOWED[room])}")
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
