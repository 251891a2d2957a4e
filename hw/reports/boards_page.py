"""docs/boards.md and docs/boards.json: what the machine takes on each board, from the reports of its builds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateware.config import config
from hw.reports.frame_rates import MODELS, Rate, frame_rate

__all__ = ["PAGE", "table", "write_page"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "boards.md"
BEGIN = "<!-- the table: `python -m hw.build --docs` -->"
END = "<!-- end of the table -->"
KEPT = (
    *("board", "part", "toolchain", "config", "arithmetic", "clock_mhz", "lut", "lut_cells", "ff", "dsp", "bram36"),
    *("limits", "fmax_mhz", "area"),
)
TITLES = {"deit_tiny": "DeiT-T", "deit_small": "DeiT-S"}
HEADER = (
    *("board", "part", "LUT", "LUT cells", "registers", "DSP", "block RAM", "clock, MHz", "reached, MHz"),
    *(f"{TITLES[model]}, frames a second" for model in MODELS),
    "bitstream",
)


def _row(row: Mapping[str, Any]) -> list[str]:
    def used(key: str) -> str:
        most = row["limits"].get(key)
        return "" if row[key] is None else f"{row[key]:,g}" + ("" if most is None else f" of {most:,g}")

    rates = [frame_rate(config(row["config"], row["arithmetic"]), model) for model in MODELS]
    part = row["part"] or (f"{row['area']['gates'] / 1000:,.0f} thousand gates" if row.get("area") else "")
    return [
        f"`{row['board']}`",
        part,
        *(used(key) for key in ("lut", "lut_cells", "ff", "dsp", "bram36")),
        f"{row['clock_mhz']:g}",
        "" if row["fmax_mhz"] is None else f"{row['fmax_mhz']:.1f}",
        *(_rate(rate) for rate in rates),
        "yes" if row["bitstream"] else "no",
    ]


def _rate(rate: Rate) -> str:
    if rate.frames_per_second is None:
        return "too large for its memory" if rate.source else ""
    return f"{rate.frames_per_second:g} ({rate.source})"


def table(rows: list[Mapping[str, Any]]) -> str:
    """A table in Markdown of rows of boards.json."""
    lines = [HEADER, ["---"] * len(HEADER), *(_row(row) for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def write_page(folder: Path, boards: Mapping[str, str], page: Path = PAGE) -> list[str]:
    """Takes over the report.json of each board in `folder` and rewrites the page's table; returns the boards not in it.

    `boards` says which preset is meant for each; another machine's build is not taken. What is in the page stays until
    it is built again.
    """
    record = page.with_suffix(".json")
    known = {row["board"]: row for row in json.loads(record.read_text())} if record.exists() else {}
    for board, preset in boards.items():
        path = folder / board / "report.json"
        if path.exists():
            row, meant = json.loads(path.read_text()), config(preset)
            same = (row.get("fingerprint"), row.get("clock_mhz")) == (meant.fingerprint, meant.clock_mhz)
            if same and (row["lut"] is not None or row.get("area")):
                # A forced one that is too slow counts for nothing.
                bitstream = row["bitstream"] is not None and not row["problem"]
                known[board] = {key: row.get(key) for key in KEPT} | {"bitstream": bitstream}
    rows = [known[board] for board in boards if board in known]
    record.write_text(json.dumps(rows, indent=1) + "\n")
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{after}")
    return [board for board in boards if board not in known]
