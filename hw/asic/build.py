"""The build of `--board asic`: files for a layout flow, and with a library the netlist and its area."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from hw.asic.board import CONFIGURATION, CONSTRAINTS, TOP_NAME, VERILOG, Asic
from hw.asic.cells import Library, read_library
from hw.asic.synthesis import CELLS, MEMORIES, NETLIST, Area, synthesise
from hw.reports.build_report import plain_report
from hw.toolchains.errors import ToolError, ToolMissing

__all__ = ["build_asic", "by_unit", "print_area", "total"]

SHOWN = 15  # units in the table and in the picture
NO_LIBRARY = "No netlist was made: give the Liberty file of your cells with --liberty FILE."


def total(areas: Iterable[Area]) -> Area:
    """Modules together."""
    return Area(*(sum(values) for values in zip(*(asdict(area).values() for area in areas), strict=True)))


def by_unit(areas: Mapping[str, Area]) -> dict[str, Area]:
    """Modules joined to what a person calls a unit: the core's are four levels below the top, the others less deep."""
    joined: dict[str, list[Area]] = {}
    for name, area in areas.items():
        path = name.removeprefix(TOP_NAME).lstrip(".").split(".")
        joined.setdefault(".".join(path[1:4]) or "frame", []).append(area)
    return {unit: total(parts) for unit, parts in joined.items()}


def build_asic(
    board: Asic, liberty: Path | None, folder: Path, stage: Callable[[str], None]
) -> tuple[dict[str, Any], dict[str, Area]]:
    """Runs the build in a folder; returns the row of report.json, and area by unit (empty without a netlist).

    Raises BoardError for an unusable library.
    """
    library = None if liberty is None else read_library(liberty)  # before anything that takes long
    stage("gateware")
    sources = board.sources()
    board.design_of(sources).write(folder)
    names = {"verilog": VERILOG, "memories": MEMORIES, "constraints": CONSTRAINTS, "configuration": CONFIGURATION}
    areas: dict[str, Area] = {}
    status, problem = "partial", NO_LIBRARY
    if liberty is not None:
        stage("synthesis")
        try:
            areas = by_unit(synthesise(sources, liberty, folder, 1000 / board.config.clock_mhz))
            status, problem = "success", ""
            names |= {"netlist": NETLIST, "cells": CELLS}
        except ToolMissing as error:
            problem = f"No netlist was made: {error}"
        except ToolError as error:
            status, problem = "failure", str(error)
    stage("")
    row = plain_report(board.name, None, "yosys", status, board.config, problem)
    row["files"] = {what: str(folder / name) for what, name in names.items()}
    row["macros"] = {wrapper.name: 0 for wrapper in sources.wrappers}
    for _, wrapper in sources.instances:
        row["macros"][wrapper.name] += 1
    row["area"] = None
    if library is not None and areas:
        row["area"] = {"library": library.name, "gate": library.gate, **asdict(total(areas.values()))}
        row["units"] = {unit: asdict(area) for unit, area in areas.items()}
        draw(areas, library, folder / "report.png")
    (folder / "report.json").write_text(json.dumps(row, indent=1))
    return row, areas


def print_area(row: Mapping[str, Any], areas: Mapping[str, Area], console: Console) -> None:
    """Tables: area by unit, and the macros."""
    if areas:
        title = f"{row['config']}: {row['area']['library']}, a gate is {row['area']['gate']:g}"
        headings = ("cells", "area", "FF area", "gates", "macro bits")
        table = Table("unit", *(Column(heading, no_wrap=True) for heading in headings), title=title)
        largest = sorted(areas.items(), key=lambda unit: -unit[1].area)
        rest = [area for _, area in largest[SHOWN:]]
        shown = largest[:SHOWN] + ([("the other units", total(rest))] if rest else [])
        for name, area in [*shown, ("all", total(areas.values()))]:
            values = (area.cells, area.area, area.sequential, area.gates, area.macro_bits)
            table.add_row(name.removeprefix("accelerator.core."), *(f"{value:,.0f}" for value in values))
        console.print(table)
    table = Table("memory macro", "instances", title="words x bits, write and read ports")
    for name, number in row["macros"].items():
        table.add_row(name, str(number))
    console.print(table)
    if row["problem"]:
        console.print(row["problem"], soft_wrap=True)


def draw(areas: Mapping[str, Area], library: Library, path: Path) -> None:
    """Gates by unit, registers and logic apart."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    units = sorted(areas.items(), key=lambda unit: unit[1].area)[-SHOWN:]
    names = [textwrap.shorten(name.removeprefix("accelerator.core."), 40) for name, _ in units]
    registers = [area.sequential / library.gate / 1000 for _, area in units]
    logic = [area.gates / 1000 - register for (_, area), register in zip(units, registers, strict=True)]
    figure, axes = pyplot.subplots(figsize=(9, 4.5))
    axes.barh(names, registers, color="#47a", label="registers")
    axes.barh(names, logic, left=registers, color="#9bd", label="logic")
    axes.set_xlabel(f"thousand gate equivalents of {library.name}")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
