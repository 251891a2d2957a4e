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
    said = {survivor["mutant"]: survivor for survivor in results.get(unit, {}).get("survivors", [])}
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
                "why": said.get(mutant.change, {}).get("why", ""),
                # Said, and not proven: no input within the unit's contracts tells it from the unit.
                "equal": said.get(mutant.change, {}).get("equal", False),
            }
            for mutant in survivors
        ],
    }


def coverage(result: dict[str, Any], explained: bool = False) -> float:
    """Killed ones in a hundred of those that are not proven equivalent, nor, with ``explained``, said to be equal."""
    left_out = sum(result["equivalent"].values())
    if explained:
        left_out += sum(survivor["equal"] for survivor in result["survivors"])
    return 100 * result["killed"] / max(1, result["mutants"] - left_out)


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        "| unit | mutants | killed | proven equivalent | survivors | explained | of those equal "
        "| killed of what is not proven equivalent | nor explained as equal |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for unit, result in results.items():
        survivors = result["survivors"]
        explained, equal = (sum(bool(survivor[key]) for survivor in survivors) for key in ("why", "equal"))
        lines.append(
            f"| {unit} | {result['mutants']} | {result['killed']} | {sum(result['equivalent'].values())} "
            f"| {len(survivors)} | {explained} | {equal} | {coverage(result):.1f} % | {coverage(result, True):.1f} % |"
        )
    lines.append("")
    for explained, what in (
        (False, "not proven equivalent"),
        (True, "neither proven equivalent nor explained as equal"),
    ):
        low = [unit for unit, result in results.items() if coverage(result, explained) < GOAL]
        lines.append(f"Below the goal of {GOAL:.0f} % of what is {what}: {', '.join(low) or 'none'}.")
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
