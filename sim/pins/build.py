"""The library of a board's top with the models around it."""

from __future__ import annotations

import re
from pathlib import Path

from amaranth.back import verilog

from hw.boards.design import TOP, Design
from sim.pins.boards import HERE, model_of
from sim.pins.wrapper import WRAPPER, wrapper
from sim.verilator.installed import verilator_command
from sim.verilator.library import CACHE, compiled_library, content_key, machine, once, run_tool

__all__ = ["build_board"]

NATIVE = sorted((HERE / "native").iterdir())
PREFIX = "Vpins"
# Coroutines are how Verilator lets processes wait. The rest is as for the emulated board (`sim.emulator.build`).
CXX_FLAGS = [
    *("-std=c++20", "-fcoroutines", "-O1", "-march=native", "-fPIC", "-fno-gnu-unique", "-fvisibility=hidden"),
    *("-ftls-model=initial-exec", "-DVM_TRACE=0", "-DVM_TRACE_VCD=0"),
]
VERILATOR_FLAGS = [
    *("--cc", "-O3", "--timing", "--no-sched-zero-delay", "--timescale-override", "1ps/1ps", "--pins-inout-enables"),
    *("--x-assign", "fast", "--x-initial", "fast", "--noassert", "--threads", "1", "-Wno-lint", "-Wno-fatal"),
    *("-Wno-MULTIDRIVEN", "--inline-mult", "1000000", "--output-split", "15000"),
]
RUNTIME = ["verilated.cpp", "verilated_threads.cpp", "verilated_timing.cpp", "verilated_dpi.cpp"]


def build_board(design: Design) -> Path:
    """The library of a board's design, for `sim.pins.board.PinBoard`; built once for the same content.

    Raises BuildError; VerilatorError; UserError for a board that has no model, or a top without its pins.
    """
    model = model_of(design.name)
    top = _without_sources(design.files.get(f"{TOP}.v") or verilog._convert_rtlil_text(design.rtlil))
    around = wrapper(top, TOP, model.pins, model.constants)
    tool, environment = verilator_command()
    sources = [around, top, *(path.read_text() for path in design.sources)]
    own = b"".join(path.read_bytes() for path in [*model.primitives, *NATIVE])
    flags = [*CXX_FLAGS, *model.defines]
    key = content_key("".join(sources).encode(), own, machine(*flags, *VERILATOR_FLAGS), tool.encode())
    folder = CACHE / f"pins-{design.name}-{key}"
    with once(folder) as partial:
        if partial:
            names = []
            for name, text in zip((WRAPPER, TOP, *(path.stem for path in design.sources)), sources, strict=True):
                (partial / f"{name}.v").write_text(text)
                names.append(f"{name}.v")
            primitives = [str(path) for path in model.primitives]
            where = ["--prefix", PREFIX, "--top-module", WRAPPER, "--Mdir", "obj"]
            run_tool([tool, *VERILATOR_FLAGS, *where, names[0], *primitives, *names[1:]], partial, environment)
            board = HERE / "native" / "board.cpp"
            compiled_library(partial, f"{WRAPPER}.so", board, RUNTIME, flags, environment, tool)
    return folder / f"{WRAPPER}.so"


def _without_sources(text: str) -> str:
    """Verilog of Yosys without the lines that say which version it is, and which line of Python made what."""
    return re.sub(r"^/\*.*?\*/\n|^ *\(\* (?:src|generator) = .*\*\)\n", "", text, flags=re.MULTILINE)
