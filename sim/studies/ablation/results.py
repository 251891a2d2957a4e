"""What is known of each variant of a model, kept as JSON beside the page that shows it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sim.reference.errors import UserError, replaced_when_complete
from sim.studies.ablation.hardware import UnitCost

__all__ = ["DOCS", "Row", "merged", "read", "write"]

DOCS = Path(__file__).resolve().parents[3] / "docs"


@dataclass
class Row:
    """One variant of one model.

    Members
    -------
    model, base, variant : names of model, preset and variant
    images : on which accuracy was measured; 0 where it was not
    top1, float_top1, agreement : shares of the images
    divergence : mean KL from the float model's answers, nats
    board : whose machine the cycles are of
    predicted : cycles of a frame by the compiler's model; None where not asked for, or no machine has the variant
    emulated : cycles counted in the emulated board, every tensor equal to the reference; None where not asked for
    units : what the changed units take, a part each
    commands : that measured `accuracy`, `predicted`, `emulated` and `units`
    """

    model: str
    base: str
    variant: str
    images: int = 0
    top1: float = 0.0
    float_top1: float = 0.0
    agreement: float = 0.0
    divergence: float = 0.0
    board: str = ""
    predicted: int | None = None
    emulated: int | None = None
    units: list[UnitCost] = field(default_factory=list)
    commands: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str]:
        return self.model, self.base, self.variant


def read(path: Path) -> list[Row]:
    """The rows of a file; none where there is no file. Raises UserError for a damaged one."""
    if not path.exists():
        return []
    try:
        return [
            Row(**{**entry, "units": [UnitCost(**unit) for unit in entry["units"]]})
            for entry in json.loads(path.read_text())
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is damaged ({error}); remove it and measure again.") from error


def merged(old: list[Row], new: list[Row]) -> list[Row]:
    """Rows of both; where both have one, the new row's, with what only the old one knows."""
    found = {row.key: row for row in old}
    for row in new:
        if row.key in found:
            _complete(row, found[row.key])
        found[row.key] = row
    return list(found.values())


def _complete(row: Row, before: Row) -> None:
    commands = dict(row.commands)
    if not row.images:
        for name in ("images", "top1", "float_top1", "agreement", "divergence"):
            setattr(row, name, getattr(before, name))
        commands |= _named(before, "accuracy")
    if row.board in ("", before.board):
        row.board = before.board
        for name in ("predicted", "emulated"):
            if getattr(row, name) is None:
                setattr(row, name, getattr(before, name))
                commands |= _named(before, name)
    if not row.units:
        commands |= _named(before, "units")
    known = {(unit.unit, unit.part): unit for unit in before.units}
    row.units = list((known | {(unit.unit, unit.part): unit for unit in row.units}).values())
    row.commands = commands


def _named(row: Row, what: str) -> dict[str, str]:
    return {what: row.commands[what]} if what in row.commands else {}


def write(path: Path, rows: list[Row]) -> None:
    """Writes rows, in an order of their own."""
    ordered = sorted(rows, key=lambda row: row.key)
    with replaced_when_complete(path) as temporary:
        temporary.write_text(json.dumps([asdict(row) for row in ordered], indent=1) + "\n")
