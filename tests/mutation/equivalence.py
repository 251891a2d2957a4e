"""Whether a mutant is the unit itself: proofs by SAT that nothing outside can tell them apart.

Unit and mutant stand side by side with the same inputs. What is proven is more than equal outputs: if all registers and
memories of both hold the same, they hold the same in the next cycle, and the outputs are the same (``state``). Where
that fails only in states that are never reached, induction over several cycles shows it (``induction``). Memories are
taken away: what they would read is an input, the same for both, and what they would write is an output. Small ones stay
in a second attempt, as registers (``memories``). Bits of registers that no output depends on may differ.
"""

import json
import re
from pathlib import Path
from typing import Any

from hw.toolchains.errors import ToolError
from hw.toolchains.process import run_tool
from hw.toolchains.yosys import yosys
from tests.mutation.liveness import live_bits
from tests.mutation.netlist import TOP, Mutant, Netlist

__all__ = ["prove_equivalent"]

STAGES = ("state", "induction", "memories")
SECONDS = {"state": 60, "induction": 20, "memories": 20}
PREPARATION = 300
STEPS = 8
SMALL_BITS = 2048
CLOCKS = {"CLK", "RD_CLK", "WR_CLK"}


def prove_equivalent(netlist: Netlist, mutant: Mutant, induction: bool = True) -> str:
    """The name of the proof that succeeded, or "" where none did: that says nothing.

    Without ``induction`` only the proof by state is tried, which takes a second or two.
    """
    folder = netlist.folder / "equivalence" / str(mutant.number)
    for stage in STAGES if induction else STAGES[:1]:
        verdict = folder / f"{stage}.verdict"
        if not verdict.exists():
            folder.mkdir(parents=True, exist_ok=True)
            verdict.write_text("proven" if _attempt(netlist, mutant, folder, stage) else "")
        if verdict.read_text():
            return stage
    return ""


def _attempt(netlist: Netlist, mutant: Mutant, folder: Path, stage: str) -> bool:
    both = _both(netlist, mutant, folder)
    gold = both["modules"]["gold"]
    if not gold["ports"]:
        return False
    if stage == "state":
        return _solve(_without_state(both, registers=True), folder, stage, "-verify")
    induction = f"-tempinduct -verify -maxsteps {STEPS}"
    if stage == "induction":
        return _solve(_without_state(both, registers=False), folder, stage, induction)
    memory_bits = sum(_memory_bits(cell) for cell in gold["cells"].values())
    return 0 < memory_bits <= SMALL_BITS and _solve(_observed(both), folder, stage, induction)


def _both(netlist: Netlist, mutant: Mutant, folder: Path) -> Any:
    """Unit and mutant as modules `gold` and `gate` whose cells have the same names."""
    command = mutant.command.replace(f"-module {TOP} ", "-module gate ")

    def script(*prepare: str) -> list[str]:
        return [
            f"read_rtlil ../../{netlist.flat.name}",
            *prepare,
            f"copy {TOP} gate",
            f"rename {TOP} gold",
            f"mutate {command}",
            "select gold gate",
            "dffunmap",
            "opt_clean",
            "write_json -selected both.json",
        ]

    try:
        _run(folder, "both", script(), ["both.json"], PREPARATION)
    except ToolError:
        # A register whose output is a constant has no first value. Without any, the proof by state is still possible.
        _run(folder, "both", script("setattr -unset init w:*"), ["both.json"], PREPARATION)
    return json.loads((folder / "both.json").read_text())


def _memory_bits(cell: Any) -> int:
    if cell["type"] != "$mem_v2":
        return 0
    return int(cell["parameters"]["SIZE"], 2) * int(cell["parameters"]["WIDTH"], 2)


def _observe(module: Any, name: str, ports: dict[str, list[Any]], direction: str) -> None:
    for port, bits in ports.items():
        module["ports"][f"{name}.{port}"] = {"direction": direction, "bits": bits}


def _without_state(both: Any, registers: bool) -> Any:
    """Memories as inputs and outputs, and registers too, or with outputs that show them."""
    result = json.loads(json.dumps(both))
    places = _live_places(both)
    for module in result["modules"].values():
        for name, cell in sorted(module["cells"].items()):
            # A submodule that stayed one is as a memory: what it says is an input, what it is told an output.
            memory = cell["type"] == "$mem_v2" or not cell["type"].startswith("$")
            if not memory and cell["type"] != "$dff":
                continue
            outputs = {p: b for p, b in cell["connections"].items() if cell["port_directions"][p] == "output"}
            inputs = {p: b for p, b in cell["connections"].items() if p not in outputs and p not in CLOCKS}
            label = f"state_{_label(name)}"
            if memory or registers:
                _observe(module, label, outputs, "input")
                _observe(module, label, inputs if memory else _chosen(inputs, places[name]), "output")
                del module["cells"][name]
            else:
                _observe(module, label, _chosen(outputs, places[name]), "output")
    return result


def _observed(both: Any) -> Any:
    """Registers with outputs that show them; memories stay, and become registers that are compared too."""
    result = json.loads(json.dumps(both))
    places = _live_places(both)
    for module in result["modules"].values():
        for name, cell in sorted(module["cells"].items()):
            if cell["type"] == "$dff":
                shown = _chosen({"Q": cell["connections"]["Q"]}, places[name])
                _observe(module, f"state_{_label(name)}", shown, "output")
    return result


def _live_places(both: Any) -> dict[str, list[int]]:
    """Of each register, the places of the bits that an output of the unit or of the mutant depends on."""
    result: dict[str, set[int]] = {}
    for module in both["modules"].values():
        live = live_bits(module)
        for name, cell in module["cells"].items():
            if cell["type"] == "$dff":
                found = {place for place, bit in enumerate(cell["connections"]["Q"]) if bit in live}
                result[name] = result.get(name, set()) | found
    return {name: sorted(found) for name, found in result.items()}


def _chosen(ports: dict[str, list[Any]], places: list[int]) -> dict[str, list[Any]]:
    """Some bits of each port; no port without any."""
    return {port: [bits[place] for place in places] for port, bits in ports.items()} if places else {}


def _label(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _solve(both: Any, folder: Path, stage: str, how: str) -> bool:
    (folder / f"{stage}.json").write_text(json.dumps(both))
    script = [
        f"read_json {stage}.json",
        "memory_map",
        "miter -equiv -flatten -make_outputs gold gate miter",
        "hierarchy -top miter",
        "opt -full",
        f"sat {how} -prove trigger 0 miter",
        f"tee -q -o {stage}.proven stat",
    ]
    try:
        _run(folder, stage, script, [f"{stage}.proven"], SECONDS[stage])
    except ToolError:
        return False
    return True


def _run(folder: Path, stage: str, lines: list[str], outputs: list[str], seconds: float) -> None:
    (folder / f"{stage}.ys").write_text("\n".join(lines) + "\n")
    run_tool(stage, [yosys(), "-q", "-l", f"{stage}_yosys.log", "-s", f"{stage}.ys"], folder, outputs, seconds)
