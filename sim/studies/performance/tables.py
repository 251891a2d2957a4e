"""The table for people, as text on a terminal and as the page in docs/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sim.emulator.board import Frame
from sim.reference.errors import UserError, replaced_when_complete

__all__ = ["console", "layers_table", "merged", "page", "picture_names", "rows_table", "write"]

PICTURES = "pictures"  # their folder in docs
DOCS = Path(__file__).resolve().parents[3] / "docs"
KEY = ("model", "board", "arithmetic", "memory")
HEAD = """# Performance

These are whole frames on the [emulated board](glossary.md#emulated-board), batch 1. Every cycle counts, from the
image in DRAM to the logits in DRAM. Each row is one run, and its command is below. The same figures are in
[performance.json](performance.json).

- **MACs** are the model's own. **DSPs** are all that the design uses.
- **Exact** means that every tensor of the frame equals the integer reference, also those that never reach memory. If
  tensors share places in a short memory ([compiler](compiler.md)), the last one of each place is compared.
- A command with `random:ARCH` takes seeded random weights. Its cycles are a trained model's, except for ShiftGELU's
  tables, whose length depends on the maxima of rows.
- `deit_tiny` is the public checkpoint, quantised with `python -m firmware.quantize deit_tiny_patch16_224 --arithmetic
  NAME` ([quantise](quantise.md)), on a photograph.
- A board with `pump=2` has an [array of twice the machine's clock](pump.md). Cycles are the machine's. A DSP's MACs are
  given for a cycle of either clock.
- **Emulation** ran on one core, which other work may have shared. The library was built beforehand.

"""
COLUMNS = (
    ("model", "model"),
    ("board", "board"),
    ("arithmetic", "arithmetic"),
    ("cycles", "cycles"),
    ("predicted", "predicted_cycles"),
    ("MACs/DSP/cycle", "macs_per_dsp_cycle"),
    ("and array cycle", "macs_per_dsp_array_cycle"),
    ("array", "array_utilisation"),
    ("frames/s", "frames_per_second"),
    ("exact", "exact"),
    ("DRAM MB", "dram_bytes"),
    ("emulation s", "emulation_seconds"),
)


WIDE = 200  # columns of text that goes to a file or a pipe


def console() -> Console:
    """Where tables go: as wide as the terminal, or as wide as they are."""
    made = Console()
    return made if made.is_terminal else Console(width=WIDE)


def _cell(name: str, row: dict[str, Any]) -> str:
    if name == "macs_per_dsp_array_cycle":
        return str(row.get(name, row["macs_per_dsp_cycle"]))  # of rows that are older than arrays of another clock
    value = row[name]
    if name == "exact":
        return "yes" if value else "NO"
    if name == "dram_bytes":
        return f"{value / 1e6:.2f}"
    if name == "predicted_cycles":
        return f"{value:,} ({value / row['cycles'] - 1:+.1%})"
    if name == "array_utilisation":
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def rows_table(rows: list[dict[str, Any]]) -> Table:
    """The rows on a terminal."""
    table = Table(*(title for title, _ in COLUMNS))
    for row in rows:
        table.add_row(*(_cell(name, row) for _, name in COLUMNS))
    return table


def layers_table(frame: Frame) -> Table:
    """Cycles and stalls of each layer."""
    table = Table("layer", "cycles", "steps", "waiting for operands", "drain", "no instruction", "DRAM beats")
    for layer in frame.layers:
        shown = ("cycles", "steps", "exec_wait", "exec_blocked", "exec_empty")
        table.add_row(layer.name, *(f"{layer.counters[key]:,}" for key in shown), f"{layer.beats:,}")
    return table


def merged(path: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a JSON file, with new ones in place of those of the same model, board, arithmetic and memory."""
    try:
        old = json.loads(path.read_text()) if path.exists() else []
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no JSON file ({error}); remove it, or name another folder.") from error
    new = {tuple(row[key] for key in KEY): row for row in rows}
    kept = [row for row in old if tuple(row.get(key) for key in KEY) not in new]
    return sorted([*kept, *rows], key=lambda row: (row["macs"], row["board"], row["arithmetic"], row["memory"]))


def picture_names(row: dict[str, Any]) -> tuple[str, str]:
    """File names of a row's timeline and roofline."""
    stem = f"{row['model'].replace(':', '_')}_{row['board'].replace(' ', '_').replace('=', '')}_{row['arithmetic']}"
    return f"{stem}_timeline.png", f"{stem}_roofline.png"


def page(rows: list[dict[str, Any]]) -> str:
    """docs/performance.md."""
    lines = [HEAD.rstrip("\n"), ""]
    lines.append("| " + " | ".join(title for title, _ in COLUMNS) + " |")
    lines.append("|" + "---|" * len(COLUMNS))
    lines += ["| " + " | ".join(_cell(name, row) for _, name in COLUMNS) + " |" for row in rows]
    lines += ["", "## Where cycles go", "", "Cycles in which the array does not step, by cause.", ""]
    lines += ["| model | board | arithmetic | waits for an operand | waits for the drain | no instruction | rest |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for row in rows:
        stalls = row["stalls"]
        steps = round(row["array_utilisation"] * row["cycles"])
        rest = row["cycles"] - steps - sum(stalls.values())
        shares = [f"{value:,} ({value / row['cycles']:.1%})" for value in [*stalls.values(), rest]]
        lines.append(f"| {row['model']} | {row['board']} | {row['arithmetic']} | " + " | ".join(shares) + " |")
    lines += ["", "## Commands", ""]
    lines += [f"    {row['command']}" for row in rows]
    drawn = [name for row in rows for name in picture_names(row) if (DOCS / PICTURES / name).exists()]
    if drawn:
        lines += ["", "## Pictures", "", f"Drawn by the same commands with `--pictures docs/{PICTURES}`.", ""]
        lines += [f"![{name.removesuffix('.png')}]({PICTURES}/{name})" for name in drawn]
    return "\n".join(lines) + "\n"


def write(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Brings docs/performance.json and docs/performance.md up to date; returns all rows."""
    everything = merged(DOCS / "performance.json", rows)
    for path, text in (
        (DOCS / "performance.json", json.dumps(everything, indent=1) + "\n"),
        (DOCS / "performance.md", page(everything)),
    ):
        with replaced_when_complete(path) as temporary:
            temporary.write_text(text)
    return everything
