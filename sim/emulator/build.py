"""Shared libraries from C++ and from Verilog, in folders named after the content that they were made from."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

from amaranth.back import rtlil, verilog
from amaranth.hdl import Elaboratable

from sim.emulator.ports import design_header
from sim.emulator.registered import RegisteredInputs
from sim.verilator.installed import verilator_command
from sim.verilator.library import (
    CACHE,
    BuildError,
    compiled_library,
    compiler,
    content_key,
    machine,
    once,
    run_tool,
)
from sim.watched import Watched

__all__ = ["BuildError", "build_design", "build_patterns"]

NATIVE = Path(__file__).resolve().parent / "native"
TOP = "emulated"
PREFIX = "Vemulated"
# -march=native: a library never leaves the machine that it was compiled on, and its folder's name includes the machine.
# -fno-gnu-unique: two libraries in one process must not share Verilator's static variables.
# -O1: -O2 takes half as long again to compile what then runs 8 % faster, and few designs run for long.
CXX_FLAGS = ["-std=c++17", "-O1", "-march=native", "-fPIC", "-fno-gnu-unique", "-fvisibility=hidden"]
# Yosys writes the Verilog, not a person: style warnings are no news. No assertions, no four-state emulation.
VERILATOR_FLAGS = [
    *("--cc", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "--threads", "1"),
    *("-Wno-lint", "-Wno-fatal", "--inline-mult", "1000000", "--output-split", "15000"),
]
# A component's libraries, without waveforms and with them.
_BUILT: WeakKeyDictionary[Elaboratable, dict[bool, Path]] = WeakKeyDictionary()
RUNTIME = ["verilated.cpp", "verilated_threads.cpp"]
RUNTIME_WAVES = [*RUNTIME, "verilated_vcd_c.cpp"]


def _native_sources() -> bytes:
    return b"".join(path.read_bytes() for path in sorted(NATIVE.iterdir()) if path.suffix in (".h", ".cpp"))


def build_patterns() -> Path:
    """The library of access patterns on the memory model alone. Raises BuildError."""
    folder = CACHE / f"patterns-{content_key(_native_sources(), machine(*CXX_FLAGS, *VERILATOR_FLAGS))}"
    with once(folder) as partial:
        if partial:
            source = str(NATIVE / "memory_patterns.cpp")
            run_tool([compiler(), *CXX_FLAGS, "-shared", source, "-o", "patterns.so"], partial)
    return folder / "patterns.so"


def build_design(component: Elaboratable, waves: bool = False) -> Path:
    """The library of a component: its Verilog through Verilator, with the memory model and the C interface.

    Parameters
    ----------
    component : an Amaranth component with the ports that `sim.emulator.ports` describes
    waves : whether it can write waveforms, which makes it slower

    The first call for a design takes from seconds to a few minutes; later ones, in any process, only find the file, for
    which they elaborate the component: a second call for the same object does not even do that.
    Raises BuildError; VerilatorError; ValueError for a component with other ports.
    """
    known = _BUILT.setdefault(component, {})
    if waves not in known:
        known[waves] = _built(component, waves)
    return known[waves]


def _built(component: Elaboratable, waves: bool) -> Path:
    header = design_header(component, PREFIX)
    text = rtlil.convert(RegisteredInputs(component), name=TOP, emit_src=False)
    tool, environment = verilator_command()
    # A component with a memory of its own comes with Verilog that is not Amaranth's.
    sources: Sequence[Path] = getattr(component, "verilog_sources", ())
    foreign = b"".join(path.read_bytes() for path in sources)
    key = content_key(
        text.encode(),
        header.encode(),
        _native_sources(),
        machine(*CXX_FLAGS, *VERILATOR_FLAGS),
        tool.encode(),
        bytes([waves]),
        foreign,
    )
    name = component.name if isinstance(component, Watched) else type(component).__name__
    folder = CACHE / f"{name.lower()}{'-waves' if waves else ''}-{key}"
    with once(folder) as partial:
        if partial:
            # What `verilog.convert` does behind its elaboration, which took as long as all of this and is done already.
            (partial / f"{TOP}.v").write_text(verilog._convert_rtlil_text(text))
            (partial / "design.h").write_text(header)
            for path in sources:
                shutil.copy(path, partial)
            _verilate(partial, tool, environment, waves, [path.name for path in sources])
    return folder / f"{TOP}.so"


def banks_header(root: str) -> str:
    """The C++ header with the banks of LiteDRAM's memory model: where each one's array lies in Verilator's class.

    `root`: text of the class's header. Raises BuildError if there are no banks, or banks of several sizes.
    """
    found = re.findall(
        r"VlUnpacked<\s*(VlWide<\d+>[^,]*|SData[^,]*|CData[^,]*|[IQ]Data[^,]*), (\d+)>\s+(\w+__DOT__mem(?:_(\d+))?);",
        root,
    )
    if not found or len({(word, size) for word, size, _, _ in found}) > 1:
        raise BuildError(f"Verilator's class has {len(found)} banks of one size; use the pinned packages.")
    names = [name for _, _, name, _ in sorted(found, key=lambda bank: int(bank[3] or 0))]
    cells = ", ".join(f"reinterpret_cast<uint8_t *>(&(root)->{name}[0])" for name in names)
    return "\n".join(
        [
            "// Banks of the memory model inside the design, as macros for engine.cpp.",
            "#pragma once",
            f'#include "{PREFIX}___024root.h"',
            f"#define BANKS {len(names)}ull",
            f"#define BANK_BYTES sizeof({PREFIX}___024root::{names[0]})",
            f"#define FOR_EACH_BANK(root) {cells}",
            "",
        ]
    )


def _verilate(folder: Path, tool: str, environment: dict[str, str], waves: bool, sources: Sequence[str] = ()) -> None:
    options = [*VERILATOR_FLAGS, *(["--trace-vcd"] if waves else [])]
    run_tool(
        [tool, *options, "--prefix", PREFIX, "--top-module", TOP, "--Mdir", "obj", f"{TOP}.v", *sources],
        folder,
        environment,
    )
    if sources:
        (folder / "banks.h").write_text(banks_header((folder / "obj" / f"{PREFIX}___024root.h").read_text()))
    traced = int(waves)
    flags = [*CXX_FLAGS, f"-DVM_TRACE={traced}", f"-DVM_TRACE_VCD={traced}"]
    runtime = RUNTIME_WAVES if waves else RUNTIME
    compiled_library(folder, f"{TOP}.so", NATIVE / "engine.cpp", runtime, flags, environment, tool)
