"""docs/boards.md: the boards, what the machine takes on each, and how a board is added."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["PAGE", "table", "write_page"]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "boards.md"
BEGIN = "<!-- the table: `python -m hw.build --docs` -->"
END = "<!-- end of the table -->"
MODELS = {"deit_tiny": "DeiT-T", "deit_small": "DeiT-S"}
HEADER = (
    *("board", "part", "LUT", "LUT cells", "registers", "DSP", "block RAM", "clock, MHz", "reached, MHz"),
    *(f"{name}, frames a second" for name in MODELS.values()),
    "bitstream",
)


def _row(row: Mapping[str, Any]) -> list[str]:
    def used(key: str) -> str:
        return "" if row[key] is None else f"{row[key]:,g} of {row['limits'][key]:,g}"

    rates = [row["frames_per_second"].get(model) for model in MODELS]
    return [
        f"`{row['board']}`",
        row["part"],
        used("lut"),
        "" if row["lut_cells"] is None else f"{row['lut_cells']:,}",
        used("ff"),
        used("dsp"),
        used("bram36"),
        f"{row['clock_mhz']:g}",
        "" if row["fmax_mhz"] is None else f"{row['fmax_mhz']:.1f}",
        *("" if rate is None else f"{rate:g}" for rate in rates),
        "yes" if row["bitstream"] else "no",
    ]


def table(rows: list[Mapping[str, Any]]) -> str:
    """A table in Markdown of the rows of report.json."""
    lines = [HEADER, ["---"] * len(HEADER), *(_row(row) for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def write_page(folder: Path, boards: list[str], page: Path = PAGE) -> list[str]:
    """Rewrites the page's table from the report.json of each board in `folder`; returns the boards without one."""
    reports = {board: folder / board / "report.json" for board in boards}
    rows = [json.loads(path.read_text()) for path in reports.values() if path.exists()]
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{after}")
    return [board for board, path in reports.items() if not path.exists()]
