"""The contracts that the machine states, as docs/verification.md lists them.

python -m tests.contracts_page writes them into the page.
"""

import sys
from pathlib import Path

from amaranth.hdl import Fragment

from gateware.clocking.events import EventToSync
from gateware.clocking.rows import QueueToSync
from gateware.clocking.streams import StreamToFast
from gateware.config import config
from gateware.contracts import Monitors
from gateware.machine import Machine
from tests.gateware.contracts.told import BY_A_NEIGHBOUR, ELSEWHERE, WITHIN

PAGE = Path(__file__).resolve().parents[1] / "docs" / "verification.md"
BEGIN, END = "<!-- contracts: begin -->\n", "<!-- contracts: end -->"


def tables() -> str:
    """One row a contract, and one a memory that operations share."""
    machine = Monitors()
    Fragment.get(Machine(config("tiny"), observed=True), machine)
    for crossing in (EventToSync(), StreamToFast(1), QueueToSync(1, 2)):  # of a machine whose array has another clock
        Fragment.get(crossing, machine)
    lines = ["| unit | contract | broken in a test |", "|---|---|---|"]
    stated = sorted({(c.unit, c.text) for c in machine.contracts})
    lines += [f"| {unit} | {text} | {_broken(unit, text)} |" for unit, text in stated]
    users: dict[str, list[set[str]]] = {}
    for access in machine.accesses:
        users.setdefault(access.memory.name, [set(), set()])[access.write].add(access.who)
    lines += ["", "| memory | read by | written by |", "|---|---|---|"]
    lines += [f"| {name} | {', '.join(sorted(r))} | {', '.join(sorted(w))} |" for name, (r, w) in sorted(users.items())]
    return "\n".join(lines) + "\n"


def _broken(unit: str, text: str) -> str:
    """Where a test breaks the contract and is told; or why none can from outside. KeyError where nobody has said."""
    if text in BY_A_NEIGHBOUR.get(unit, ()):
        return "by a neighbour that does anything"
    if (unit, text) in ELSEWHERE:
        return f"`{ELSEWHERE[unit, text]}`"
    return f"no: {WITHIN[unit, text]}"


def page_with_tables(text: str) -> str:
    """The page's text with the tables as they should be."""
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    return text[:start] + tables() + text[end:]


def main() -> int:
    """Writes the tables."""
    PAGE.write_text(page_with_tables(PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
