"""The results in docs/mutation.json, and the table of docs/verification.md that is made of them."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from sim.reference.errors import replaced_when_complete
from tests.mutation.campaign import Outcome

__all__ = ["RESULTS", "coverage", "read_results", "record", "table", "update_page"]

DOCS = Path(__file__).resolve().parents[2] / "docs"
RESULTS, PAGE = DOCS / "mutation.json", DOCS / "verification.md"
BEGIN, END = "<!-- mutation: begin -->", "<!-- mutation: end -->"
GOAL = 95.0


def read_results(path: Path = RESULTS) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.exists() else {}


def record(results: dict[str, Any], unit: str, seed: int, outcomes: list[Outcome], proofs: dict[int, str]) -> None:
    """Put a unit's outcomes in `results`; what was said of a survivor before stays with it."""
    said = {survivor["mutant"]: survivor["why"] for survivor in results.get(unit, {}).get("survivors", [])}
    survivors = [outcome.mutant for outcome in outcomes if not outcome.killed and not proofs.get(outcome.mutant.number)]
    results[unit] = {
        "seed": seed,
        "mutants": len(outcomes),
        "killed": sum(outcome.killed for outcome in outcomes),
        "equivalent": dict(sorted(Counter(proof for proof in proofs.values() if proof).items())),
        "survivors": [
            {
                "number": mutant.number,
                "mutant": mutant.change,
                "source": mutant.source,
                "why": said.get(mutant.change, ""),
            }
            for mutant in survivors
        ],
    }


def coverage(result: dict[str, Any]) -> float:
    """Killed ones in a hundred of those that are not proven equivalent."""
    return 100 * result["killed"] / max(1, result["mutants"] - sum(result["equivalent"].values()))


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        "| unit | mutants | killed | proven equivalent | survivors | of those explained | killed of the others |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for unit, result in results.items():
        survivors = result["survivors"]
        explained = sum(bool(survivor["why"]) for survivor in survivors)
        lines.append(
            f"| {unit} | {result['mutants']} | {result['killed']} | {sum(result['equivalent'].values())} "
            f"| {len(survivors)} | {explained} | {coverage(result):.1f} % |"
        )
    low = [unit for unit, result in results.items() if coverage(result) < GOAL]
    if low:
        lines += ["", f"Below the goal of {GOAL:.0f} %: {', '.join(low)}."]
    return "\n".join(lines)


def update_page(results: dict[str, Any]) -> None:
    """Write docs/mutation.json, and the table where docs/verification.md has its place for it."""
    with replaced_when_complete(RESULTS) as temporary:
        temporary.write_text(json.dumps(results, indent=1) + "\n")
    text = PAGE.read_text() if PAGE.exists() else ""
    if BEGIN in text:
        before, rest = text.split(BEGIN, 1)
        after = rest.split(END, 1)[1]
        with replaced_when_complete(PAGE) as temporary:
            temporary.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}")
