"""The ablations as a page and a picture."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from sim.reference.errors import replaced_when_complete
from sim.studies.ablation.hardware import UnitCost
from sim.studies.ablation.results import Row
from sim.studies.ablation.variants import ARRAY, OFFICIAL, SWEEPS, TABLE, Variant

__all__ = ["UNITS_OF_BASE", "draw", "page"]

PICTURE = "pictures/ablation.png"
HEAD = """# Ablations: the paper's alternatives, in accuracy and in hardware

Table 2 of the I-ViT paper compares alternatives on a GPU. This page compares them in the arithmetic and in the
gateware of this machine. Every alternative is a named variant of the [arithmetic](arithmetic.md), as
`lean:softmax=polynomial`. The quantiser, the reference, the compiler, the units and the emulated board know them all.
`python -m sim.ablation MODEL --docs` measures its rows and rewrites this page. The figures, and the command of each,
are also in [ablation.json](ablation.json).

The models are post-training quantised and **not** fine-tuned for the variant. The paper's figures are after
fine-tuning, so compare rows with each other, not with the paper. Top-1 on a few hundred easy photographs has a
standard error of about two points. The divergence (mean KL of the float model's answers from the variant's) tells
variants apart better.

- **Polynomial softmax** (I-BERT's i-exp): ln 2 lies on a grid of 8 bits. I-BERT's own floor(ln 2 / S) would be 2 for
  8-bit scores of a scale near 1/4. The polynomial keeps 9 bits.
- **Log-Int-Softmax** (FQ-ViT): probabilities are powers of two. The ratio is compared as it is, not rounded to an
  integer first. The exponential is the polynomial above. With 8-bit probabilities, less than 1/192 becomes 0.
- **Polynomial GELU** (I-BERT's i-erf): elementwise, so one table serves a whole row group.
- **L1 LayerNorm** (Fully-8bit): the mean of magnitudes, times sqrt(pi/2) as for a normal distribution, in place of
  the root of the mean square. It needs no root. It needs one more pass over the row and one more row buffer, because
  the magnitudes are those of differences from the mean.
- **Float operations** (FasterTransformer): softmax, GELU and LayerNorm in floating point between integer tensors.
  Only the reference has them; no machine does.
- **The authors' integers** (`official`): 16-bit Shiftmax, 31-bit multipliers, packed operands from -128.

## How to read the tables

- **Cycles** are those of a frame in the machine with the alternative in it, on the board named. *Predicted* cycles
  come from the compiler's cost model. *Emulated* cycles are counted on the emulated board with the first image, and
  every tensor is compared with the reference. Softmax of 12 bits fits no machine: the product with V takes nine bits
  at once.
- **LUT, FF, DSP, block RAM** are those of the changed units together on xc7 (`arty_a7_35`'s sizes). I-ViT's own units
  follow in brackets. **Fmax**, in MHz, is the slowest unit's after place and route on an LFE5U-85F of speed grade 6,
  with `ulx3s_85f`'s sizes. The sweeps are synthesised for xc7 alone. The last section has each unit by itself.
- The array changes too with `official`, packed operands from -128, and 16-bit softmax. It is measured on xc7 alone,
  where two products share a DSP. ShiftGELU's lanes are made for the largest n, so a smaller n changes constants and
  no LUT.
- An empty cell was not measured yet, or does not exist.

## What they say

- **Softmax**: shifts take fewer LUTs than the polynomial, and cost no accuracy. Cycles are the same, because both
  keep pace with the array. Probabilities of ten bits (`lean`) have half the divergence of eight
  (`lean:softmax_bits=8`) at the same cycles and DSPs; more bits gain nothing. Powers of two as probabilities cost
  accuracy. They save nothing here, because the array makes the product with V, and does not shift.
- **GELU**: here the polynomial is smaller. It depends on its element alone, so its unit is about half of ShiftGELU's,
  which has a table for each row's maximum. It is a little less accurate without fine-tuning.
- **LayerNorm**: without a root the unit has fewer LUTs and more block RAM. DeiT-Tiny, which was not trained for it,
  fails; the small model does not.

## Your own data

    python -m sim.ablation MODEL --weights FILE --images DIR --labels CSV --docs

MODEL is any integer model file, FILE the float weights that it was made from, DIR a folder of photographs, CSV has
the columns `file` and `label`; `--skip N` leaves out the first N in name order, those that the model was calibrated
on. `digits` as MODEL is the shipped model on its 360 held-out digits. Finished images, netlists, routes and emulated
machines are kept under `build/`, so an interrupted run continues where it stopped. `--emulate` adds the emulated
cycles of the first table's rows; it builds a machine for each.

The DeiT-Tiny rows use 500 photographs (of the NIPS 2017 adversarial development set) in name order. The first 100
calibrated the model; the table is about the other 400. Biases are not corrected, because corrected ones would fit one
arithmetic and be wrong in the others.

    python -m firmware.quantize deit_tiny_patch16_224 --weights FILE --calibrate DIR --limit 100 \\
        --no-bias-correction -o build/models/deit_tiny_plain.safetensors

The benches of the units, each against the reference:

    python -m pytest tests/gateware/softmax/test_shiftmax.py tests/gateware/gelu/test_shiftgelu.py \\
        tests/gateware/layernorm/test_layernorm.py tests/gateware/softmax/test_polynomial_exp.py \\
        tests/sim/reference/test_variants.py

"""
UNITS_OF_BASE = ("shiftmax", "shiftgelu", "layernorm", "postprocessor", ARRAY)
ACCURACY = ("images", "top-1", "same answer", "mean KL")
HARDWARE = ("LUT", "FF", "DSP", "block RAM", "Fmax")
COLUMNS = ("arithmetic", *ACCURACY, "predicted cycles", "emulated cycles", *HARDWARE)


def page(rows: list[Row], folder: Path) -> None:
    """Writes ablation.md and its picture into `folder`."""
    draw(rows, folder / PICTURE)
    parts = [HEAD, f"![what each alternative costs]({PICTURE})\n"]
    for model, base in sorted({(row.model, row.base) for row in rows}):
        here = {row.variant: row for row in rows if (row.model, row.base) == (model, base)}
        parts += [f"\n## {model}, {base}\n", *_about(list(here.values())), *_table(here, TABLE)]
        if any(variant.name in here for variant in SWEEPS):
            parts += ["\n### Sweeps\n", *_table(here, SWEEPS)]
    parts += ["\n## Units\n", *_units(rows)]
    with replaced_when_complete(folder / "ablation.md") as temporary:
        temporary.write_text("\n".join(parts).replace("\n\n\n", "\n\n") + "\n")


def _about(rows: list[Row]) -> Iterator[str]:
    """What all rows share, and the commands that made them."""
    floats = sorted({f"{row.float_top1:.2%}" for row in rows if row.images})
    boards = sorted({row.board for row in rows if row.board})
    facts = [f"The float model's top-1 is {', '.join(floats)}."] if floats else []
    facts += [f"Cycles are those of `{', '.join(boards)}`."] if boards else []
    yield " ".join(facts) + "\n"
    commands = dict.fromkeys(command for row in rows for command in row.commands.values())
    yield from (f"    {command}" for command in commands)
    yield ""


def _changed(row: Row, variant: Variant, part: str) -> list[UnitCost]:
    """The units that a variant changes; none unless all of those that the part has were measured."""
    found = [unit for unit in row.units if unit.part == part and unit.unit in variant.units]
    return found if {unit.unit for unit in found} >= set(variant.units) - ({ARRAY} if part == "ecp5" else set()) else []


def _fmax(units: list[UnitCost]) -> float | None:
    clocks = [unit.fmax for unit in units if unit.fmax is not None]
    return min(clocks) if clocks and len(clocks) == len(units) else None


def _hardware(row: Row, variant: Variant, base: Row | None) -> list[str]:
    """The cells of the changed units, each with I-ViT's in brackets."""

    def cell(own: float | None, other: float | None) -> str:
        if own is None:
            return ""
        return f"{own:,g}" if other is None else f"{own:,g} ({other:,g})"

    mine, theirs = _changed(row, variant, "xc7"), [] if base is None else _changed(base, variant, "xc7")
    cells = []
    for name in ("lut", "ff", "dsp", "block_ram"):
        sums = [sum(getattr(unit, name) for unit in units) if units else None for units in (mine, theirs)]
        cells.append(cell(*sums))
    clocks = [_fmax(_changed(one, variant, "ecp5")) if one else None for one in (row, base)]
    return [*cells, cell(*(None if clock is None else round(clock) for clock in clocks))]


def _table(rows: dict[str, Row], variants: tuple[Variant, ...]) -> list[str]:
    lines = ["| " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * (len(COLUMNS) - 1)]
    for variant in variants:
        row = rows.get(variant.name)
        if row is None:
            continue
        accuracy = [""] * len(ACCURACY)
        if row.images:
            accuracy = [str(row.images), f"{row.top1:.2%}", f"{row.agreement:.2%}", f"{row.divergence:.4f}"]
        cycles = ["" if count is None else f"{count:,}" for count in (row.predicted, row.emulated)]
        hardware = _hardware(row, variant, rows.get("base"))
        lines.append("| " + " | ".join([variant.label, *accuracy, *cycles, *hardware]) + " |")
    return lines


def _units(rows: list[Row]) -> list[str]:
    lines = [
        "| unit | arithmetic | part | LUT | FF | DSP | block RAM | Fmax, MHz |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    labels = {variant.name: variant.label for variant in (*TABLE, *SWEEPS)}
    order = [variant.name for variant in (*TABLE, *SWEEPS)]
    bases = sorted({row.base for row in rows})
    seen = {(unit.unit, unit.part, row.variant, row.base): unit for row in rows for unit in row.units}
    for name in UNITS_OF_BASE:
        for part in ("xc7", "ecp5"):
            for variant, base in itertools.product(order, bases):
                if unit := seen.get((name, part, variant, base)):
                    fmax = "" if unit.fmax is None else f"{unit.fmax:.0f}"
                    arithmetic = labels[variant] if variant == OFFICIAL.name else f"{base}, {labels[variant]}"
                    cells = [name, arithmetic, part, f"{unit.lut:,}", f"{unit.ff:,}"]
                    lines.append("| " + " | ".join([*cells, str(unit.dsp), f"{unit.block_ram:g}", fmax]) + " |")
    return lines


def draw(rows: list[Row], path: Path) -> None:
    """Divergence against LUTs (xc7) of the changed units less those of I-ViT's, a panel a model."""
    measured: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row.images:
            measured.setdefault(f"{row.model}, {row.base}", {})[row.variant] = row
    variants = (*TABLE, *SWEEPS)
    panels = {name: here for name, here in sorted(measured.items()) if any(_point(here, one) for one in variants)}
    if not panels:
        return  # nothing to compare yet
    figure, places = pyplot.subplots(1, len(panels), figsize=(6.5 * len(panels), 5), squeeze=False)
    for axes, (name, here) in zip(places[0], panels.items(), strict=True):
        start = here["base"].divergence
        for group, colour, kind in ((TABLE, "C1", "alternatives"), (SWEEPS, "C0", "sweeps")):
            points = [point for variant in group if (point := _point(here, variant)) is not None]
            axes.plot([x for x, _, _ in points], [y for _, y, _ in points], "o", color=colour, label=kind)
            # Of the sweeps only what stands apart has a label: the others crowd around I-ViT.
            crowd = [(x, y) for x, y, _ in points if group is SWEEPS and abs(x) < 500 and 0.5 < y / start < 1.5]
            for number, (x, y, label) in enumerate(sorted(p for p in points if p[:2] not in crowd)):
                axes.annotate(label, (x, y), fontsize=7, xytext=(5, 4 if number % 2 else -9),
                              textcoords="offset points")  # fmt: skip
        axes.plot(0, start, "k*", markersize=10, label="I-ViT")
        axes.axhline(start, color="k", linewidth=0.5)
        axes.set_title(name)
        axes.set_xlabel("LUTs of the changed units on xc7, more than I-ViT's")
        axes.set_ylabel("mean KL from the float model, nats")
        axes.set_yscale("log")
        axes.margins(x=0.2, y=0.15)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced_when_complete(path) as temporary:
        figure.savefig(temporary, dpi=110, bbox_inches="tight", format="png")
    pyplot.close(figure)


def _point(rows: dict[str, Row], variant: Variant) -> tuple[int, float, str] | None:
    """LUTs more than I-ViT's, divergence, name; None where either is not known."""
    row, base = rows.get(variant.name), rows.get("base")
    if row is None or base is None or not variant.units:
        return None
    mine, theirs = _changed(row, variant, "xc7"), _changed(base, variant, "xc7")
    if not mine or not theirs:
        return None
    return sum(unit.lut for unit in mine) - sum(unit.lut for unit in theirs), row.divergence, variant.name
