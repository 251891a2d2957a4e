"""A netlist as the benches want it: a top module with nothing but ports around it."""

from __future__ import annotations

import re

__all__ = ["bench_top"]

PORT = re.compile(r"^  (input|output) (\[\d+:\d+\] )?(\w+)\s*;", re.MULTILINE)


def bench_top(netlist: str, module: str, name: str) -> str:
    """Verilog of the module `name` around `module` of a netlist.

    A simulator keeps everything in the outermost module visible, and cannot optimise it.
    """
    body = re.search(rf"^module {re.escape(module)}\(.*?^endmodule", netlist, re.MULTILINE | re.DOTALL)
    if body is None:
        raise ValueError(f"the netlist has no module {module}; synthesise it again.")
    ports = PORT.findall(body[0])
    declared = ",\n".join(f"  {direction} wire {bits}{port}" for direction, bits, port in ports)
    joined = ", ".join(f".{port}({port})" for _, _, port in ports)
    return f"module {name}(\n{declared}\n);\n  {module} gates({joined});\nendmodule\n"
