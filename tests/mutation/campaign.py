"""Runs the trials of a unit on its mutants; what is known already is not run again."""

import ast
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from sim.cocotb.runner import run_bench
from tests.import_graph import ROOT, imported
from tests.mutation.inside import JOB
from tests.mutation.netlist import Mutant, Netlist, make_netlist
from tests.mutation.units import Unit

__all__ = ["Outcome", "run_unit"]

WALL_SECONDS = 4 * 3600


@dataclass(frozen=True)
class Outcome:
    """What the trials say of a mutant: the test that noticed it and how, both empty for a survivor."""

    mutant: Mutant
    killer: str
    how: str

    @property
    def killed(self) -> bool:
        return bool(self.killer)


def run_unit(unit: Unit, count: int, seed: int) -> tuple[Netlist, list[Outcome]]:
    """Every mutant's outcome.

    Raises BenchFailure where a trial does not pass on the unchanged unit.
    """
    name = f"mutation_{unit.name}"
    component = unit.make()
    netlist = make_netlist(component, name, count, seed, unit.without)
    trials = [{"bench": t.bench, "test": t.test, "parameters": t.parameters} for t in unit.trials]
    key = hashlib.sha256((json.dumps(trials) + _sources(unit)).encode()).hexdigest()[:16]
    results = netlist.folder / f"results-{key}.jsonl"
    known = _read(results)
    missing = [mutant.number for mutant in netlist.mutants if mutant.number not in known]
    if missing:
        job = netlist.folder / "job.json"
        job.write_text(json.dumps({"trials": trials, "mutants": missing, "results": str(results)}))
        os.environ[JOB] = str(job)
        run_bench(
            component,
            name,
            "tests.mutation.inside",
            seed=1,
            wall_seconds=WALL_SECONDS,
            verilog_file=netlist.bench,
            extra_sources=[netlist.verilog],
        )
        known = _read(results)
    return netlist, [
        Outcome(mutant, known[mutant.number]["killer"], known[mutant.number]["outcome"]) for mutant in netlist.mutants
    ]


def _sources(unit: Unit) -> str:
    """The text of the benches and of what they import of the tests: what they found holds as long as it is the same."""
    texts: dict[str, str] = {}
    waiting = sorted({trial.bench for trial in unit.trials})
    while waiting:
        module = waiting.pop()
        path = ROOT / f"{module.replace('.', '/')}.py"
        if module.startswith("tests.") and module not in texts and path.exists():
            texts[module] = path.read_text()
            for _, name in imported(ast.parse(texts[module]), module, is_package=False):
                waiting += [name, name.rpartition(".")[0]]
    return "".join(texts[module] for module in sorted(texts))


def _read(results: Path) -> dict[int, dict[str, str]]:
    if not results.exists():
        return {}
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    return {line["number"]: line for line in lines}
