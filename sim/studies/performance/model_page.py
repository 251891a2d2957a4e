"""docs/models.md: every model on every board, with what was measured beside what is predicted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from sim.emulator.profiles import ARTY_A7, PROFILES
from sim.reference.architecture import NAMES, parse_architecture, spelled_out
from sim.reference.errors import UserError, replaced_when_complete
from sim.studies.performance import tables
from sim.studies.performance.brought import BROUGHT
from sim.studies.performance.model_pictures import draw_accuracy, draw_latency

__all__ = ["measured_cycles", "models_table", "refusals", "write_page"]

PAPER = (
    *("vit_small_patch16_224", "vit_base_patch16_224"),
    *("deit_tiny_patch16_224", "deit_small_patch16_224", "deit_base_patch16_224"),
    *("swin_tiny_patch4_window7_224", "swin_small_patch4_window7_224"),
)
"""Table 1 of the paper."""
ACCURACY_PICTURE, LATENCY_PICTURE = "models_accuracy.png", "models_latency.png"
HEAD = """# Models

Every model of the paper's Table 1, and the others that have a name here, in `lean` arithmetic at batch 1. Predicted
cycles are the compiler's cost model's (`python -m firmware.compile` prints the same); those in bold were measured on
the emulated board, every tensor of the frame equal to the reference ([performance](performance.md) has the commands;
two models of the same dimensions take the same cycles). Frames a second are at the board's clock and are the machine's
own: over a slow link images may arrive more slowly (see below). DRAM is weights, activations and program, with a second
image while the first is in use. Another number of classes: `NAME:classes=N`; any other dimensions: spelled out, as
`vit:image=32,patch=8,dim=128,depth=2,heads=2,classes=10` or
`swin:image=64,patch=4,dim=32,depths=2-2,heads=1-2,window=4,classes=10`. Which checkpoints are read,
which variations of these architectures, and how each was tested, is on [checkpoints](checkpoints.md).
"""
CELLS = """Each cell is cycles, frames a second, and MACs per DSP and cycle (at most 2 on an Artix-7, else 1). The
table is written by `python -m sim.bench.models --docs`."""
BROUGHT_HEAD = """## What a checkpoint brings

The variations of [checkpoints](checkpoints.md), cycles of a frame. The first line of each is at a published size: the
cost model's (`python -m sim.bench.models --docs`), or measured, in bold. The second is a small model of the same kind:
one frame with random weights ran on each emulated board, every tensor equal to the reference
(`python -m sim.bench.models --measure --docs`). The float model of each is compared with the code of the named
libraries, within 1e-4 (`make test-training`). On `arty_a7_35` DINOv2's 257 tokens take `--set softmax_length=260`, and
36,889,522 cycles, measured ([checkpoints](checkpoints.md)).
"""
REFUSED = "A dash is a model that does not fit that board as it is configured. The compiler's words:"
ACCURACY = """## Accuracy against speed

After the paper's Figure 2. Top-1 was measured here for DeiT-T alone, whose trained weights were at hand, on photographs
that are easier than ImageNet's validation set: only differences mean anything. Each row is what
`python -m firmware.compare ... --json` printed ([quantise](quantise.md) has the commands), taken in by
`python -m sim.bench.models --docs --accuracy FILE...`.

| architecture | arithmetic | photographs | float top-1 | integer top-1 |
|---|---|---|---|---|"""
LATENCY = """## Latency against images in flight

After the paper's Figure 4: the time until the last of N images that are handed over together is answered. The host
sends an image while the one before is computed, so the longer of the two sets the slope; dashed is a machine whose
images are in memory already. Derived from the cycles above, the clock and the rates of UART and Ethernet, not measured.
"""


def measured_cycles(performance: Sequence[dict[str, Any]]) -> dict[tuple[str, str], int]:
    """Cycles of the frames that were run in `lean` and were exact, by architecture and board."""
    found = {}
    for row in performance:
        try:
            architecture = spelled_out(parse_architecture(row["model"].removeprefix("random:")))
        except UserError:
            continue  # a model of its own name
        own = PROFILES.get(row["memory"]) == PROFILES.get(row["board"], ARTY_A7)
        if row["exact"] and row["arithmetic"] == "lean" and own:
            found[architecture, row["board"]] = row["cycles"]
    return found


def models_table(rows: Sequence[dict[str, Any]], boards: Sequence[str]) -> Table:
    """The rows on a terminal."""
    table = Table("model", "parameters", "MACs", *(f"{board}: cycles, frames/s, MACs/DSP/cycle" for board in boards))
    for row in rows:
        cells = [_cell(row, board, {}) for board in boards]
        table.add_row(row["model"], f"{row['parameters']:,}", f"{row['macs']:,}", *cells)
    return table


def _cell(row: dict[str, Any], board: str, measured: dict[tuple[str, str], int]) -> str:
    one = row["boards"][board]
    if "refused" in one:
        return "-"
    cycles = measured.get((row["architecture"], board), one.get("measured"))
    ratio = one["cycles"] / (cycles or one["cycles"])
    speed, use = one["frames_per_second"] * ratio, one["macs_per_dsp_cycle"] * ratio
    text = f"{one['cycles'] / ratio / 1e6:.2f} M, {speed:.2f}, {use:.2f}"
    return text if cycles is None else f"**{text}** (predicted {ratio - 1:+.1%})"


def _table(rows: list[dict[str, Any]], measured: dict[tuple[str, str], int]) -> list[str]:
    boards = list(rows[0]["boards"])
    lines = ["| model | parameters | GMAC | DRAM, MB | " + " | ".join(f"`{board}`" for board in boards) + " |"]
    lines.append("|---" * (4 + len(boards)) + "|")
    for row in rows:
        sizes = [one["dram_bytes"] for one in row["boards"].values() if "dram_bytes" in one]
        memory = f"{max(sizes) / 1e6:.1f}" if sizes else "-"
        cells = " | ".join(_cell(row, board, measured) for board in boards)
        lines.append(f"| `{row['model']}` | {row['parameters']:,} | {row['macs'] / 1e9:.2f} | {memory} | {cells} |")
    return lines


def _brought_table(rows: dict[str, dict[str, Any]], measured: dict[tuple[str, str], int]) -> list[str]:
    """A line for each of `BROUGHT` whose rows are there, at its own size and at the small one."""
    boards = list(next(iter(rows.values()))["boards"])
    lines = ["| what | compared with | architecture | " + " | ".join(f"`{board}`" for board in boards) + " |"]
    lines.append("|---" * (3 + len(boards)) + "|")
    for one in BROUGHT:
        head = f"| {one.what} | {one.sources}"
        for name in (one.published, one.small):
            if name in rows:
                cells = [_cycles(rows[name], board, measured) for board in boards]
                lines.append(f"{head} | `{name}` | " + " | ".join(cells) + " |")
                head = "|  | "
    return lines


def _cycles(row: dict[str, Any], board: str, measured: dict[tuple[str, str], int]) -> str:
    """Predicted, or bold."""
    one = row["boards"][board]
    cycles = measured.get((row["architecture"], board), one.get("measured"))
    return f"**{cycles:,}**" if cycles is not None else f"{one['cycles']:,}" if "cycles" in one else "-"


def refusals(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each reason why a model does not fit a board."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        for board, one in row["boards"].items():
            if "refused" in one:
                reasons.setdefault(one["refused"], []).append(f"`{row['model']}` on `{board}`")
    return [f'- {", ".join(where)}: "{reason}"' for reason, where in reasons.items()]


def _page(rows: list[dict[str, Any]], accuracy: list[dict[str, Any]], measured: dict[tuple[str, str], int]) -> str:
    paper = [row for name in PAPER for row in rows if row["model"] == name]
    brought = {name for one in BROUGHT for name in (one.published, one.small)}
    others = [row for row in rows if row not in paper and (row["model"] in NAMES or row["model"] not in brought)]
    lines = [HEAD]
    for title, some in (("The paper's models", paper), ("Other sizes", others)):
        if some:
            lines += [f"## {title}", "", CELLS, "", *_table(some, measured), ""]
    if found := {row["model"]: row for row in rows if row["model"] in brought}:
        lines += [BROUGHT_HEAD, *_brought_table(found, measured), ""]
    if sentences := refusals(rows):
        lines += [REFUSED, "", *sentences, ""]
    if accuracy:
        lines.append(ACCURACY)
        for one in accuracy:
            top1 = f"{one['float_top1']:.2%} | {one['integer_top1']:.2%}"
            lines.append(f"| `{one['architecture']}` | `{one['arithmetic']}` | {one['images']} | {top1} |")
        lines += ["", f"![accuracy against frames a second]({tables.PICTURES}/{ACCURACY_PICTURE})", ""]
    lines += [LATENCY, f"![latency against images in flight]({tables.PICTURES}/{LATENCY_PICTURE})", ""]
    return "\n".join(lines)


def _read(name: str) -> Any:
    path = tables.DOCS / name
    try:
        return json.loads(path.read_text()) if path.exists() else None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no JSON file ({error}); remove it, or restore it.") from error


def write_page(rows: Sequence[dict[str, Any]], accuracy: Sequence[dict[str, Any]]) -> None:
    """Brings docs/models.json, docs/models.md and their pictures up to date: these rows take the place of those of the
    same model (accuracy: and arithmetic).
    """
    old = _read("models.json") or {"models": [], "accuracy": []}
    models = {row["model"]: row for row in [*old["models"], *rows]}
    known = {(row["architecture"], row["arithmetic"]): row for row in [*old["accuracy"], *accuracy]}
    everything = {
        "models": sorted(models.values(), key=lambda row: (row["macs"], row["model"])),
        "accuracy": [known[key] for key in sorted(known)],
    }
    measured = measured_cycles(_read("performance.json") or [])
    pictures = tables.DOCS / tables.PICTURES
    draw_accuracy(pictures / ACCURACY_PICTURE, everything["accuracy"], everything["models"], measured)
    draw_latency(pictures / LATENCY_PICTURE, everything["models"], measured)
    for name, text in (
        ("models.json", json.dumps(everything, indent=1) + "\n"),
        ("models.md", _page(everything["models"], everything["accuracy"], measured)),
    ):
        with replaced_when_complete(tables.DOCS / name) as temporary:
            temporary.write_text(text)
