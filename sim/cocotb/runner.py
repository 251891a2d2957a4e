"""Runs a cocotb bench on an Amaranth component: Verilog, compilation cached by content, simulation with watchdogs."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from amaranth.back import rtlil, verilog
from amaranth.hdl import Elaboratable
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import Runner, get_runner

from sim.verilator.installed import verilator_command
from sim.verilator.object_cache import launcher
from sim.watched import Watched

__all__ = [
    "CACHE",
    "CONTRACTS",
    "PARAMETERS",
    "ROOT",
    "SIMULATORS",
    "BenchFailure",
    "bench_seed",
    "quick_to_compile",
    "run_bench",
    "simulator_missing",
]

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "benches"
SIMULATORS = ("verilator", "icarus")
PARAMETERS = "BENCH_PARAMETERS"  # how the parameters reach the simulator's process
CONTRACTS = "BENCH_CONTRACTS"  # and the sentences of the contracts
SEED = "IVIT_TEST_SEED"
TIMESCALE = ("1ns", "1ps")
# Yosys writes the Verilog, not a person: style warnings are no news. One file without optimisation is compiled in a
# third of the time; benches are short, and most of theirs is Python's.
VERILATOR_OPTIONS = ["-Wno-lint", "-Wno-fatal", "-CFLAGS", "-O0", "--output-split", "0"]
# A netlist has a signal for every gate: only its ports are left visible, and g++ does no more than it must.
NETLIST_OPTIONS = ["--no-public-flat-rw", "--public-depth", "1", "-CFLAGS", "-O0", "--output-split", "0"]
# From Verilog 2009 on initial values are there before anything waits for a change, and Yosys's combinational blocks
# then stay at x until an input changes. Icarus takes the last -g.
ICARUS_OPTIONS = ["-g2005"]
OPTIONS = {"verilator": VERILATOR_OPTIONS, "icarus": ICARUS_OPTIONS}


class BenchFailure(AssertionError):
    """A bench failed, did not compile, or ran into its wall-clock limit; the message ends with the end of its log.

    ``failed`` are the names of the tests that failed, none where no test finished.
    """

    def __init__(self, message: str, failed: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.failed = tuple(failed)


def bench_seed() -> int:
    """The seed of this run: IVIT_TEST_SEED, else 1."""
    return int(os.environ.get(SEED, "1"))


def simulator_missing(simulator: str) -> str | None:
    """Why `simulator` cannot run here, in one sentence, or None if it can."""
    if simulator not in SIMULATORS:
        raise ValueError(f"simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}; choose one of them.")
    if simulator == "icarus" and not (shutil.which("iverilog") and shutil.which("vvp")):
        return "Icarus Verilog is not installed: no `iverilog` on PATH (Debian's package is `iverilog`)"
    return None


def quick_to_compile() -> str:
    """Icarus, which compiles ten times as fast and simulates ten times as slowly; Verilator where it is absent."""
    return "verilator" if simulator_missing("icarus") else "icarus"


@contextlib.contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """The cocotb runner reads everything from os.environ; what it sees is put back afterwards."""
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _verilog(component: Elaboratable, name: str) -> Path:
    """The Verilog of `component`, in a folder named after its content."""
    text = rtlil.convert(component, name=name, emit_src=False)
    folder = CACHE / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    path = folder / f"{name}.v"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{name}.{os.getpid()}.partial"
        partial.write_text(verilog.convert(component, name=name, emit_src=False))
        os.replace(partial, path)
    return path


def _end_of(log: Path, lines: int = 60) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no log)"


def run_bench(
    component: Elaboratable,
    toplevel: str,
    test_module: str,
    *,
    testcase: str | Sequence[str] | None = None,
    simulator: str = "verilator",
    parameters: Mapping[str, object] | None = None,
    seed: int | None = None,
    wall_seconds: int = 600,
    verilog_file: Path | None = None,
    extra_sources: Sequence[Path] = (),
    waves: bool = False,
) -> None:
    """Run the cocotb tests of a module on a component, whose contracts are watched.

    Parameters
    ----------
    component : elaboratable with a signature (its members become the ports)
    toplevel : name of the Verilog module
    test_module : dotted name of the module with the `@cocotb.test` coroutines, importable from the project's root
    testcase : name or names of coroutines; all by default
    simulator : "verilator" or "icarus"
    parameters : JSON-compatible values that `sim.cocotb.bench.parameters()` returns in the bench
    seed : of `sim.cocotb.bench.generator()`; IVIT_TEST_SEED, else 1, by default; printed
    wall_seconds : wall-clock watchdog on the simulation (a bench's own watchdog counts cycles)
    verilog_file : the component after synthesis, instead of Amaranth's Verilog, in a folder that may be built in; only
        its ports are visible
    extra_sources : Verilog files of black boxes
    waves : whether to write waveforms, beside the Verilog, also when a test fails; the file's name is then printed

    Raises BenchFailure when a test fails, a contract is violated, or no test ran; ValueError for an unknown simulator.
    """
    missing = simulator_missing(simulator)
    if missing:
        raise BenchFailure(f"{missing}.")
    seed = bench_seed() if seed is None else seed
    print(f"{toplevel}: {test_module} on {simulator}, {SEED}={seed}")
    contracts: list[str] = []
    if verilog_file is None:
        watched = Watched(component)
        source, contracts = _verilog(watched, toplevel), watched.sentences
    else:
        source = verilog_file
    path, environment = verilator_command() if simulator == "verilator" else (str(shutil.which("iverilog")), {})
    options = [*OPTIONS[simulator], *(NETLIST_OPTIONS if verilog_file and simulator == "verilator" else [])]
    sources = [source, *extra_sources]
    build = _build_folder(sources, f"{simulator}{'-waves' if waves else ''}", [path, *options])
    environment |= {
        PARAMETERS: json.dumps(dict(parameters or {})),
        CONTRACTS: json.dumps(contracts),
        "SIM_CMD_PREFIX": f"timeout --kill-after=10 {wall_seconds}",
        "COCOTB_ANSI_OUTPUT": "0",
        "OBJCACHE": launcher(CACHE / "objects"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    runner = get_runner(simulator)
    # Without pytest's variable the runner leaves the judgement of the results to us.
    with _environment(environment), _search_path(), tempfile.TemporaryDirectory(dir=build) as folder:
        os.environ.pop("PYTEST_CURRENT_TEST", None)
        _compile(runner, sources, toplevel, build, options, waves)
        try:
            _simulate(runner, toplevel, test_module, testcase, build, Path(folder), seed, waves)
        finally:
            for file in (
                (*Path(folder).glob("*.vcd"), *Path(folder).glob("*.fst"), *build.glob("*.fst")) if waves else ()
            ):
                print(f"waveforms: {shutil.copy(file, source.parent)}")


def _build_folder(sources: Sequence[Path], name: str, command: Sequence[str]) -> Path:
    """A folder beside the first source, named after the other sources and the command."""
    key = hashlib.sha256(" ".join(command).encode())
    for extra in sources[1:]:
        key.update(extra.read_bytes())
    folder = sources[0].parent / f"{name}-{key.hexdigest()[:8]}"
    folder.mkdir(exist_ok=True)
    return folder


def _compile(
    runner: Runner, sources: Sequence[Path], toplevel: str, build: Path, options: Sequence[str], waves: bool
) -> None:
    """Raises BenchFailure. One process at a time in a folder."""
    # Verilator, make and the Icarus runner do nothing where the source is older than what they made of it.
    log = build / "build.log"
    with (build / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            runner.build(
                sources=sources,
                hdl_toplevel=toplevel,
                build_dir=build,
                build_args=options,
                timescale=TIMESCALE,
                waves=waves,
                log_file=log,
            )
        except (RuntimeError, SystemExit) as error:
            raise BenchFailure(f"{toplevel} does not compile ({error}):\n{_end_of(log)}") from None


def _simulate(
    runner: Runner, toplevel: str, test_module: str, testcase: str | Sequence[str] | None, build: Path, folder: Path,
    seed: int, waves: bool,
) -> None:  # fmt: skip
    """Runs the tests in `folder` and prints their log. Raises BenchFailure."""
    log, results = folder / "test.log", folder / "results.xml"
    exit_status: object = 0
    try:
        runner.test(
            test_module=test_module,
            testcase=testcase,
            hdl_toplevel=toplevel,
            hdl_toplevel_lang="verilog",
            build_dir=build,
            test_dir=folder,
            results_xml=str(results),
            seed=seed,
            timescale=TIMESCALE,
            waves=waves,
            log_file=log,
        )
    except (RuntimeError, SystemExit) as error:
        exit_status = error
    count, failed = get_results(results) if results.exists() else (0, 0)
    if failed or not count or exit_status != 0:
        what = f"{failed} of {count} tests failed" if count else "no test finished"
        message = f"{toplevel}: {what} ({SEED}={seed}, exit status: {exit_status}):\n{_end_of(log)}"
        raise BenchFailure(message, _failed_tests(results))
    print(log.read_text(errors="replace"))


def _failed_tests(results: Path) -> list[str]:
    if not results.exists():
        return []
    cases = ElementTree.parse(results).iter("testcase")
    return [
        case.get("name", "?") for case in cases if case.find("failure") is not None or case.find("error") is not None
    ]


@contextlib.contextmanager
def _search_path() -> Iterator[None]:
    """The simulator's Python gets this one's search path: the project's root must be in it."""
    before = list(sys.path)
    sys.path.insert(0, str(ROOT))
    try:
        yield
    finally:
        sys.path[:] = before
