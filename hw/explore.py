"""What other sizes of the machine would do with a model on a part: frames a second against resources.

python -m hw.explore MODEL [--part PART]
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from firmware.compiler.compiler import compile_graph
from firmware.compiler.errors import CompileError
from firmware.compiler.schedule.cost import predict
from gateware.config import AcceleratorConfig, ConfigError, config
from hw.boards.fit import Estimate, estimate
from hw.boards.parts import LFE5U_85F, XC7A35T, XC7A100T, Part
from sim.reference.errors import UserError, exit_status
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import load_model

__all__ = ["Candidate", "candidates", "explore", "pareto"]

# Each part with the preset that its board has: what is not swept is as there.
PARTS: dict[str, tuple[Part, str]] = {
    "xc7a35t": (XC7A35T, "arty_a7_35"),
    "xc7a100t": (XC7A100T, "arty_a7_100"),
    "lfe5u_85f": (LFE5U_85F, "ulx3s_85f"),
}
A_DEPTHS = (512, 1024, 2048, 4096)
B_DEPTHS = (1024, 2048, 3072, 4096, 8192)


@dataclass(frozen=True)
class Candidate:
    """A configuration that fits, and what the model does on it by the cost model."""

    pump: int
    rows: int
    a_depth: int
    b_depth: int
    dsp: int
    lut: int
    bram36: float
    cycles: int
    frames_per_second: float

    @property
    def resources(self) -> tuple[float, ...]:
        return (self.dsp, self.lut, self.bram36)


def candidates(base: AcceleratorConfig, part: Part) -> Iterator[tuple[AcceleratorConfig, Estimate]]:
    """Every grid and pair of buffers that the part has room for."""
    for rows in range(4, 65):
        for a_depth, b_depth in itertools.product(A_DEPTHS, B_DEPTHS):
            machine = dataclasses.replace(base, rows=rows, a_depth=a_depth, b_depth=b_depth)
            needed = estimate(machine, part)
            if needed.dsp <= part.dsp and needed.lut <= part.lut_limit and needed.bram36 <= part.bram36:
                yield machine, needed


def thinned(found: list[tuple[AcceleratorConfig, Estimate]], most: int) -> list[tuple[AcceleratorConfig, Estimate]]:
    """At most so many numbers of rows, the largest among them, evenly spread."""
    rows = sorted({machine.rows for machine, _ in found}, reverse=True)
    kept = {rows[round(index * (len(rows) - 1) / max(1, most - 1))] for index in range(min(most, len(rows)))}
    return [pair for pair in found if pair[0].rows in kept]


def explore(
    model: IntegerVit, found: Sequence[tuple[AcceleratorConfig, Estimate]], console: Console
) -> list[Candidate]:
    """The candidates on which the model can be compiled."""
    results = []
    for machine, needed in track(found, "compiling", console=console, disable=not console.is_terminal):
        try:
            compiled = compile_graph(model.graph, machine, model.model.shape.image)
        except CompileError:
            continue
        cycles = predict(machine, compiled.operations).cycles
        results.append(
            Candidate(
                machine.pump,
                machine.rows,
                machine.a_depth,
                machine.b_depth,
                needed.dsp,
                needed.lut,
                needed.bram36,
                round(cycles),
                round(machine.clock_mhz * 1e6 / cycles, 2),
            )
        )
    return results


def pareto(found: Sequence[Candidate]) -> list[Candidate]:
    """Those that no other one beats in speed without taking more of something; fastest first.

    Of several that take and do the same the one with the smallest buffers stands for all.
    """

    def beaten(one: Candidate, other: Candidate) -> bool:
        least = all(a <= b for a, b in zip(other.resources, one.resources, strict=True))
        same = other.resources == one.resources and other.cycles == one.cycles
        return least and other.cycles <= one.cycles and not same

    front = [one for one in found if not any(beaten(one, other) for other in found)]
    front.sort(key=lambda one: (one.cycles, one.resources, one.rows, one.a_depth, one.b_depth))
    return [next(same) for _, same in itertools.groupby(front, key=lambda one: (one.cycles, one.resources))]


def run(arguments: argparse.Namespace) -> int:
    """Sweeps, prints the front."""
    if arguments.part not in PARTS:
        raise UserError(f"--part must be one of {', '.join(PARTS)}, not {arguments.part!r}.")
    if arguments.grids < 1:
        raise UserError(f"--grids must be 1 or more, not {arguments.grids}.")
    part, preset = PARTS[arguments.part]
    model = IntegerVit(load_model(arguments.model))
    try:
        base = config(preset, model.model.arithmetic).with_probabilities(model.model.shape.softmax_bits)
        base = dataclasses.replace(base, pump=arguments.pump or base.pump)
    except ConfigError as error:
        raise UserError(f"{error}.") from error
    fitting = thinned(list(candidates(base, part)), arguments.grids)
    front = pareto(explore(model, fitting, Console(stderr=True)))
    if not front:
        raise UserError(f"{arguments.model} can be compiled for no configuration that fits a {part.name}.")
    if arguments.json:
        print(json.dumps([dataclasses.asdict(one) for one in front]))
        return 0
    table = Table(
        "pump", "rows", "a_depth", "b_depth", "DSP", "LUT", "block RAM", "cycles", "frames/s", title=part.name
    )
    for one in front:
        table.add_row(*(f"{number:,}" for number in dataclasses.astuple(one)))
    Console().print(table)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m hw.explore", description=(__doc__ or "").splitlines()[0])
    result.add_argument("model", type=Path, metavar="MODEL", help="integer model file")
    result.add_argument("--part", default="xc7a35t", metavar="PART", help=f"one of {', '.join(PARTS)}")
    result.add_argument("--grids", type=int, default=4, metavar="N", help="how many grids (default: %(default)s)")
    result.add_argument("--pump", type=int, choices=(1, 2), help="clock cycles of the array in one of the machine")
    result.add_argument("--json", action="store_true", help="print the front as JSON")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    return exit_status(lambda: run(parser().parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
