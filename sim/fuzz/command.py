"""Runs random networks on random machines with random memories and compares every integer with the reference.

python -m sim.fuzz [--frames N] [--seed S] [--board NAME]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gateware.config import ALIASES, PRESETS, ConfigError
from sim.emulator.memories import MEMORY_HELP, memory_option
from sim.fuzz.case import Case, parse_case
from sim.fuzz.machines import MACHINES, choice, of_board
from sim.fuzz.plan import Plan
from sim.fuzz.runner import run_case
from sim.fuzz.shrink import shrunk
from sim.fuzz.totals import Failure, Totals
from sim.reference.errors import UserError, exit_status

DIFFERENT = 1  # exit status
MOST_FRAMES = 1_000_000


def fuzz(plan: Plan, progress: Progress | None = None) -> Totals:
    """Runs a plan up to its first failure and shrinks that. Raises UserError where a program cannot be compiled."""
    totals = Totals()
    task = None if progress is None else progress.add_task("fuzz", total=plan.frames)
    for case in plan.cases():
        if progress is not None and task is not None:
            progress.update(task, completed=totals.frames, description=f"{case.network} with {case.memory}")
        outcome = run_case(case)
        totals.add(case, outcome)
        if outcome.failure is not None:
            totals.failure = _failure(case, outcome.step, outcome.failure)
            break
    return totals


def _failure(case: Case, step: int, sentence: str) -> Failure:
    """What failed first, made smaller."""
    begun = Case(**{**vars(case), "steps": case.steps[: step + 1]})
    smallest = shrunk(begun, lambda one: run_case(one).failure is not None)
    return Failure(case, smallest, run_case(smallest).failure or sentence)


def one_case(case: Case) -> Totals:
    """Runs one case."""
    totals, outcome = Totals(), run_case(case)
    totals.add(case, outcome)
    if outcome.failure is not None:
        totals.failure = Failure(case, case, outcome.failure)
    return totals


def plan_of(arguments: argparse.Namespace) -> Plan:
    """What the arguments ask for."""
    for name, value, most in (
        ("frames", arguments.frames, MOST_FRAMES),
        ("machines", arguments.machines, MACHINES),
        ("largest", arguments.largest, 1 << 40),
    ):
        if not 1 <= value <= most:
            raise UserError(f"--{name} must be 1 to {most}, not {value}.")
    memories = [memory_option(memory) for memory in arguments.memory]
    try:
        small = [choice(number, arguments.pump or 1) for number in range(arguments.machines)]
        machines = of_board(arguments.board, arguments.pump) if arguments.board else small
    except ConfigError as error:
        raise UserError(f"--board: {error}.") from error
    return Plan(arguments.frames, arguments.seed, machines, memories, arguments.largest)


def run(arguments: argparse.Namespace) -> int:
    """0 when all is equal, 1 when not."""
    if arguments.case is not None:
        plan, totals = None, one_case(parse_case(arguments.case))
    else:
        plan, console = plan_of(arguments), Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            totals = fuzz(plan, progress)
    if arguments.json:
        print(json.dumps(totals.values(plan)))
    else:
        for sentence in totals.sentences(plan):
            print(sentence)
    return DIFFERENT if totals.failure else 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m sim.fuzz", description=(__doc__ or "").splitlines()[0])
    result.add_argument("--frames", type=int, default=300, metavar="N", help="least number of frames")
    result.add_argument("--seed", type=int, default=1, metavar="S", help="seed of everything that is drawn")
    known = ", ".join(sorted([*PRESETS, *ALIASES]))
    result.add_argument("--board", metavar="NAME", help=f"only this board's machines, one of {known}")
    result.add_argument(
        "--machines", type=int, default=2, metavar="N", help=f"otherwise: the first N of {MACHINES} small machines"
    )
    result.add_argument("--pump", type=int, choices=(1, 2), help="clock cycles of the array in one of the machine")
    result.add_argument(
        "--memory", action="append", default=[], metavar="PROFILE", help=f"only this memory, {MEMORY_HELP}"
    )
    result.add_argument(
        "--largest", type=int, default=60_000, metavar="CYCLES", help="most cycles of a frame, as predicted"
    )
    result.add_argument("--case", metavar="TEXT", help="run only this case, as a failure prints it")
    result.add_argument("--json", action="store_true", help="print the result as JSON")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    return exit_status(lambda: run(parser().parse_args(arguments)))
