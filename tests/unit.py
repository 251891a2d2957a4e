"""Runs the benches of one unit of the gateware, in under a minute, and says which test failed.

python -m tests.unit shiftmax [--waves]     (or `make unit U=shiftmax WAVES=1`)
"""

import argparse
import contextlib
import difflib
import io
import itertools
import shutil
import subprocess
import sys
import time
import warnings

from amaranth.hdl import UnusedElaboratable

from sim.cocotb.runner import CACHE, ROOT, BenchFailure, run_bench
from sim.reference.errors import UserError, exit_status
from tests.mutation.units import UNITS
from tests.waves import FOLDER

__all__ = ["NAMES", "SUITES", "known_name", "main"]

SUITES = {
    "clock_crossing": ("clocking/test_execute_crossing.py", "clocking/test_contracts.py"),
    "completion": ("engines/test_completion.py",),
    "divider": ("arith/test_divider.py",),
    "link": ("link/test_link.py::test_cycles",),  # the others take minutes
    "memory_path": ("memory/test_memory_path.py",),
    "monitors": ("engines/test_monitors.py",),
    "multiplier": ("arith/test_multiplier.py",),
    "pipelined_divider": ("arith/test_pipelined_divider.py",),
    "polynomial_exp": ("softmax/test_polynomial_exp.py",),
    "shiftexp": ("arith/test_shiftexp.py",),
    "soft_product": ("arith/test_soft_product.py",),
    "streams": ("stream/test_streams.py",),
    "two_lines": ("link/test_two_lines.py",),
    "uart": ("link/test_link_uart.py",),
}
"""Units without mutants: their tests, in tests/gateware."""

NAMES = sorted({*UNITS, *SUITES})
LAST_LINES = 25


def known_name(name: str) -> str:
    """The name. Raises UserError where there is no such unit."""
    if name in NAMES:
        return name
    close = difflib.get_close_matches(name, NAMES, 1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise UserError(f"There is no unit {name!r}.{hint} The units are {', '.join(NAMES)}.")


def run_trials(name: str, waves: bool) -> int:
    """The unit's trials, those with the same parameters in one simulation; stops at the first that fails."""
    unit = UNITS[name]
    for (bench, _), group in itertools.groupby(unit.trials, key=lambda trial: (trial.bench, trial.parameters)):
        trials = list(group)
        tests, start, log = [trial.test for trial in trials], time.monotonic(), io.StringIO()
        print(f"{bench}: {', '.join(tests)}", flush=True)
        failure: BenchFailure | None = None
        with contextlib.redirect_stdout(log):
            try:
                run_bench(
                    unit.make(), f"{name}_unit", bench,
                    testcase=tests, parameters=trials[0].parameters, wall_seconds=120, waves=waves,
                )  # fmt: skip
            except BenchFailure as error:
                failure = error
        for line in log.getvalue().splitlines():
            if line.startswith("waveforms: "):
                print(f"  {line}")
        if failure is not None:
            return tell(name, bench, failure, waves)
        print(f"  passed in {time.monotonic() - start:.0f} s", flush=True)
    print(f"{name}: all passed.")
    return 0


def tell(name: str, bench: str, failure: BenchFailure, waves: bool) -> int:
    """Says what failed, and where the simulator's log is; 1."""
    log = CACHE / f"{name}.log"
    log.write_text(str(failure))
    lines = [line.strip() for line in str(failure).splitlines()]
    errors = [line for line in lines if line.startswith("AssertionError")]
    print("\n".join(f"  {line}" for line in errors or lines[-LAST_LINES:]))
    print(f"{name}: FAILED in {bench}: {', '.join(failure.failed) or lines[0]}.")
    print(f"The end of the simulator's log: {log}")
    if not waves:
        print(f"For waveforms: make unit U={name} WAVES=1")
    return 1


def run_suite(name: str, waves: bool) -> int:
    """The unit's tests, by pytest, up to the first that fails."""
    paths = [f"tests/gateware/{path}" for path in SUITES[name]]
    print(f"{', '.join(paths)}:", flush=True)
    shutil.rmtree(FOLDER, ignore_errors=True)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    status = subprocess.run([*command, *(["-p", "tests.waves"] if waves else []), *paths], cwd=ROOT).returncode
    print(f"{name}: {'FAILED' if status else 'all passed'}.")
    if waves:
        print(f"waveforms: in {FOLDER}")
    elif status:
        print(f"For waveforms: make unit U={name} WAVES=1")
    return int(status != 0)


def run(name: str, waves: bool) -> int:
    known_name(name)
    return run_trials(name, waves) if name in UNITS else run_suite(name, waves)


def main(arguments: list[str] | None = None) -> int:
    """The command: 0 if all tests passed, 1 if one failed, 2 for an unknown unit."""
    parser = argparse.ArgumentParser(prog="python -m tests.unit", description="Runs the benches of one unit.")
    parser.add_argument("unit", metavar="UNIT", help=", ".join(NAMES))
    parser.add_argument("--waves", action="store_true", help="write waveforms, for GTKWave or Surfer")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore", UnusedElaboratable)  # the list of units makes more of them than are run
    return exit_status(lambda: run(options.unit, options.waves))


if __name__ == "__main__":
    sys.exit(main())
