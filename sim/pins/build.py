"""The library of a board's top with the models around it."""

from __future__ import annotations

import re
from pathlib import Path

from hw.boards.design import TOP, Design
from sim.pins.wrapper import WRAPPER, wrapper
from sim.verilator.installed import verilator_command
from sim.verilator.library import CACHE, compiled_library, content_key, machine, once, run_tool

__all__ = ["build_board"]

HERE = Path(__file__).resolve().parent
MODELS = sorted((HERE / "models").glob("*.v"))
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
    """The library of an Arty's design, for `sim.pins.board.PinBoard`; built once for the same content.

    Raises BuildError; VerilatorError; UserError for a top without an Arty's pins.
    """
    top = design.files[f"{TOP}.v"]
    around = wrapper(top, TOP)
    tool, environment = verilator_command()
    # Yosys numbers what it made, from run to run the same; its version stands in the first line.
    sources = [around, re.sub(r"\A/\*.*?\*/", "", top, flags=re.DOTALL), *(path.read_text() for path in design.sources)]
    own = b"".join(path.read_bytes() for path in [*MODELS, *NATIVE])
    key = content_key("".join(sources).encode(), own, machine(*CXX_FLAGS, *VERILATOR_FLAGS), tool.encode())
    folder = CACHE / f"pins-{design.name}-{key}"
    with once(folder) as partial:
        if partial:
            names = []
            for name, text in zip((WRAPPER, TOP, *(path.stem for path in design.sources)), sources, strict=True):
                (partial / f"{name}.v").write_text(text)
                names.append(f"{name}.v")
            models = [str(path) for path in MODELS]
            where = ["--prefix", PREFIX, "--top-module", WRAPPER, "--Mdir", "obj"]
            run_tool([tool, *VERILATOR_FLAGS, *where, names[0], *models, *names[1:]], partial, environment)
            board = HERE / "native" / "board.cpp"
            compiled_library(partial, f"{WRAPPER}.so", board, RUNTIME, CXX_FLAGS, environment, tool)
    return folder / f"{WRAPPER}.so"
