"""What a build came to: for a terminal, as JSON, and as a picture."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from gateware.config import AcceleratorConfig
from hw.boards.design import TOP
from hw.boards.fit import estimate
from hw.boards.parts import Part
from hw.reports.frame_rates import MODELS, frame_rate
from hw.timing.report import read_units
from hw.toolchains.outcome import Outcome

__all__ = ["draw", "plain_report", "print_report", "report", "write_report"]

NAMES = {
    "lut": "LUT",
    "lut_cells": "LUT cells of the netlist",
    "ff": "registers",
    "dsp": "DSP",
    "bram36": "block RAM",
}


def limits(part: Part) -> dict[str, float]:
    """What the part has of each resource."""
    return {"lut": part.lut, "ff": part.ff, "dsp": part.dsp, "bram36": part.bram36}


def plain_report(
    board: str, part: Part | None, toolchain: str, status: str, config: AcceleratorConfig, problem: str
) -> dict[str, Any]:
    """The values that report.json has for every board, those of an FPGA empty."""
    rates = {model: frame_rate(config, model) for model in MODELS}
    return {
        "board": board,
        "part": None if part is None else part.name,
        "toolchain": toolchain,
        "status": status,
        "problem": problem,
        "config": config.name,
        "fingerprint": config.fingerprint,
        "arithmetic": config.arithmetic.name,
        "clock_mhz": config.clock_mhz,
        **dict.fromkeys(NAMES),
        "estimate": {} if part is None else asdict(estimate(config, part)),
        "limits": {} if part is None else {**limits(part), "lut_share": part.lut_share},
        "units": {},
        "fmax_mhz": None,
        "longest_paths_ns": {},
        "clocks": [],
        "frames_per_second": {model: rate.frames_per_second for model, rate in rates.items()},
        "frames_source": {model: rate.source for model, rate in rates.items()},
        "bitstream": None,
        "files": {},
    }


def report(
    board: str, part: Part, toolchain: str, status: str, config: AcceleratorConfig, outcome: Outcome, problem: str
) -> dict[str, Any]:
    """Plain values, as they go to report.json.

    ``fmax_mhz`` is that of the machine's clock where it was placed and routed; ``status`` one of success, partial,
    failure; ``bitstream`` a path only if the tool wrote one that passed the checks. ``longest_paths_ns`` are those of
    the units of an xc7's netlist, as `hw.timing` estimates them, the longest first.
    """
    used: dict[str, Any] = {} if outcome.used is None else asdict(outcome.used)
    clocks = (
        []
        if outcome.routed is None
        else [{**asdict(clock), "path": list(clock.path), "met": clock.met} for clock in outcome.routed.timing]
    )
    fmax = min(
        (clock["achieved_mhz"] for clock in clocks if clock["wanted_mhz"] <= config.clock_mhz * 1.01), default=None
    )
    bitstream = outcome.routed.bitstream if outcome.routed and status == "success" else None
    return {
        **plain_report(board, part, toolchain, status, config, problem or outcome.missing),
        **used,
        "units": {name: asdict(unit) for name, unit in outcome.units.items()},
        "fmax_mhz": fmax,
        "longest_paths_ns": _longest_paths(part, outcome),
        "clocks": clocks,
        "bitstream": None if bitstream is None else str(bitstream),
        "files": {what: str(path) for what, path in outcome.files.items()},
    }


def _longest_paths(part: Part, outcome: Outcome) -> dict[str, float]:
    netlist = outcome.files.get("netlist")
    if part.family != "xc7" or outcome.used is None or netlist is None or not netlist.exists():
        return {}
    return {unit.unit: round(unit.worst.total, 2) for unit in read_units(netlist, TOP)}


def write_report(row: dict[str, Any], folder: Path) -> Path:
    """report.json and, where there are figures, report.png."""
    path = folder / "report.json"
    path.write_text(json.dumps(row, indent=1))
    if row["lut"] is not None:
        draw(row, folder / "report.png")
    return path


def print_report(row: dict[str, Any], console: Console) -> None:
    """Tables: resources against the part's, the units that take most, clocks, worst paths."""
    if row["lut"] is not None:
        headings = ("resource", "used", "of", "share", "estimated before", "off by")
        table = Table(*headings, title=f"{row['board']}: {row['part']}, {row['config']}")
        for key, name in NAMES.items():
            used, most, guess = row[key], row["limits"].get(key), row["estimate"].get(key)
            limit = (f"{most:,g}", f"{used / most:.1%}") if most else ("", "")
            off = (f"{guess:,g}", f"{guess / used - 1:+.1%}") if used and guess is not None else ("", "")
            table.add_row(name, f"{used:,g}", *limit, *off)
        console.print(table)
        largest = sorted(row["units"].items(), key=lambda unit: -unit[1]["lut"])[:12]
        if largest:
            table = Table("unit", "LUT", "registers", "DSP", "block RAM")
            for name, unit in largest:
                cells = (f"{unit['lut']:,}", f"{unit['ff']:,}", str(unit["dsp"]), f"{unit['bram36']:g}")
                table.add_row(name.removeprefix("top."), *cells)
            console.print(table)
    if row["longest_paths_ns"]:
        longest = ", ".join(f"{unit} {ns:.2f}" for unit, ns in list(row["longest_paths_ns"].items())[:4])
        console.print(f"longest paths, estimated, ns: {longest}", highlight=False)
    for clock in row["clocks"]:
        verdict = "met" if clock["met"] else "not met"
        console.print(f"{clock['clock']}: {clock['achieved_mhz']:.1f} MHz of {clock['wanted_mhz']:.1f}, {verdict}")
        if clock["path"]:
            console.print("  worst path: " + " > ".join(clock["path"][:6]), style="dim", highlight=False)
    for model, rate in row["frames_per_second"].items():
        if rate is not None:
            console.print(
                f"{model} at {row['clock_mhz']:g} MHz: {rate} frames a second ({row['frames_source'][model]})"
            )
    if row["bitstream"]:
        console.print(f"bitstream: {row['bitstream']}", soft_wrap=True)
    if row["problem"]:
        console.print(row["problem"], style="" if row["status"] == "partial" else "bold red", soft_wrap=True)


def draw(row: dict[str, Any], path: Path) -> None:
    """A bar for each resource, in parts of the part's, with the units that take most of the LUTs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.5), width_ratios=[2, 3])
    keys = [key for key in NAMES if key in row["limits"]]
    shares = [row[key] / row["limits"][key] for key in keys]
    left.bar([NAMES[key] for key in keys], shares, color=["#c44" if share > 1 else "#47a" for share in shares])
    left.axhline(1, color="black", linewidth=0.8)
    left.set_ylabel(f"share of the {row['part']}")
    for index, key in enumerate(keys):
        left.text(index, shares[index], f"{row[key]:,g}", ha="center", va="bottom", fontsize=8)
    units = sorted(row["units"].items(), key=lambda unit: unit[1]["lut"])[-15:]
    right.barh([name.split(".")[-1] for name, _ in units], [unit["lut"] for _, unit in units], color="#47a")
    right.set_xlabel("LUTs")
    figure.suptitle(f"{row['board']}, {row['arithmetic']}")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
