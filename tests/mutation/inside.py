"""Inside the simulator: each trial on each mutant, in a process that is forked from one that has everything loaded.

The forked process runs one test from the start of time. Its exit status says what came of it.
"""

import importlib
import json
import logging
import os
import resource
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import Timer
from cocotb.utils import get_sim_time

from sim.cocotb.bench import PERIOD_NS
from sim.cocotb.runner import PARAMETERS
from tests.mutation.netlist import SELECT

JOB = "MUTATION_JOB"  # the file that says what to do
PASSED, FAILED, HANGS = 0, 1, 2
OUTCOMES = {FAILED: "failed", HANGS: "does not end"}
MORE_CYCLES, MORE_SECONDS = 1000, 20  # beyond twice the time of the unchanged unit


@dataclass(frozen=True)
class Limit:
    """A trial may take this many cycles, and this many seconds of the processor."""

    cycles: int
    seconds: int


def _test(trial: dict[str, Any]) -> Any:
    """The coroutine function of a trial's test."""
    return getattr(importlib.import_module(trial["bench"]), trial["test"]).func


async def _end_after(cycles: int) -> None:
    await Timer(cycles * PERIOD_NS, unit="ns")
    os._exit(HANGS)


async def _run(dut: Any, trial: dict[str, Any], number: int, limit: Limit | None, report: int) -> None:
    """In the forked process, which ends here."""
    logging.disable(logging.CRITICAL)
    try:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (limit.seconds, limit.seconds))
            cocotb.start_soon(_end_after(limit.cycles))
        os.environ[PARAMETERS] = json.dumps(trial["parameters"])
        getattr(dut, SELECT).value = number
        await _test(trial)(dut)
        os.write(report, str(int(get_sim_time("ns")) // PERIOD_NS).encode())
    except BaseException as failure:
        # An assertion of a task in the background arrives here as a cancellation.
        if number == 0:
            os.write(report, f"{type(failure).__name__}: {failure}"[:2000].encode())
        os._exit(FAILED)
    os._exit(PASSED)


async def _forked(dut: Any, trial: dict[str, Any], number: int, limit: Limit | None) -> tuple[str, str, float]:
    """What came of a trial on a mutant ("" if it passed), what it reported, and its seconds."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        await _run(dut, trial, number, limit, writable)
    os.close(writable)
    _, status, used = os.wait4(child, 0)
    with os.fdopen(readable) as pipe:
        said = pipe.read()
    seconds = used.ru_utime + used.ru_stime
    if os.WIFSIGNALED(status):
        ending = os.WTERMSIG(status)
        return (OUTCOMES[HANGS] if ending in (signal.SIGXCPU, signal.SIGKILL) else "ends the simulator"), said, seconds
    code = os.WEXITSTATUS(status)
    return "" if code == PASSED else OUTCOMES.get(code, "ends the simulator"), said, seconds


@cocotb.test()
async def mutants(dut: Any) -> None:
    """All mutants of the job; a line of JSON for each, appended as it is known."""
    job = json.loads(Path(os.environ[JOB]).read_text())
    limits = []
    for trial in job["trials"]:
        _test(trial)
        outcome, said, seconds = await _forked(dut, trial, 0, None)
        assert not outcome, f"{trial['bench']}.{trial['test']} on the unchanged unit {outcome}: {said}"
        limits.append(Limit(2 * int(said) + MORE_CYCLES, int(4 * seconds) + MORE_SECONDS))
    with Path(job["results"]).open("a") as results:
        for number in job["mutants"]:
            began, result = time.monotonic(), {"number": number, "killer": "", "outcome": ""}
            for trial, limit in zip(job["trials"], limits, strict=True):
                outcome, _, _ = await _forked(dut, trial, number, limit)
                if outcome:
                    result |= {"killer": trial["test"], "outcome": outcome}
                    break
            result["seconds"] = round(time.monotonic() - began, 2)
            results.write(json.dumps(result) + "\n")
            results.flush()
