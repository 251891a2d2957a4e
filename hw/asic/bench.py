"""A unit's netlist as the benches want it: a top module with nothing but ports around it, made once."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path

from amaranth.hdl import Elaboratable

from hw.asic.cells import read_library
from hw.asic.synthesis import CELLS, MEMORIES, NETLIST, elaborate, script, synthesise

__all__ = ["bench_sources", "bench_top"]

CACHE = Path(__file__).resolve().parents[2] / "build" / "netlists"
# A port whose name is a word of the language's is written with a backslash, and ends with a space.
PORT = re.compile(r"^  (input|output) ((?:signed )?(?:\[\d+:\d+\] )?)(\\?\w+)\s*;", re.MULTILINE)
TOP = "bench.v"


def bench_top(netlist: str, module: str, name: str) -> str:
    """Verilog of the module `name` around `module` of a netlist.

    A simulator keeps everything in the outermost module visible, and cannot optimise it.
    """
    body = re.search(rf"^module {re.escape(module)}\(.*?^endmodule", netlist, re.MULTILINE | re.DOTALL)
    if body is None:
        raise ValueError(f"the netlist has no module {module}; synthesise it again.")
    ports = PORT.findall(body[0])
    declared = ",\n".join(f"  {direction} wire {bits}{port} " for direction, bits, port in ports)
    joined = ", ".join(f".{port} ({port} )" for _, _, port in ports)
    return f"module {name}(\n{declared}\n);\n  {module} gates({joined});\nendmodule\n"


def bench_sources(component: Elaboratable, name: str, liberty: Path) -> tuple[Path, list[Path]]:
    """A component after synthesis: the Verilog of its top module `name`, and that of everything below.

    Raises BoardError for an unusable library, ToolMissing, ToolError.
    """
    sources = elaborate(component, f"{name}_gates")
    text = "\n".join([sources.rtlil, sources.models, script(sources, read_library(liberty)), liberty.read_text()])
    folder = CACHE / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if not (folder / TOP).exists():
        partial = CACHE / f"{folder.name}.{os.getpid()}.partial"
        synthesise(sources, liberty, partial)
        (partial / TOP).write_text(bench_top((partial / NETLIST).read_text(), sources.top, name))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    return folder / TOP, [folder / file for file in (NETLIST, CELLS, MEMORIES)]
