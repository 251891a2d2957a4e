"""The contracts that the machine states, as docs/verification.md lists them.

python -m tests.contracts_page writes them into the page.
"""

import sys
from pathlib import Path

from amaranth.hdl import Fragment

from gateware.config import config
from gateware.contracts import Monitors
from gateware.machine import Machine

PAGE = Path(__file__).resolve().parents[1] / "docs" / "verification.md"
BEGIN, END = "<!-- contracts: begin -->\n", "<!-- contracts: end -->"


def tables() -> str:
    """One row a contract, and one a memory that operations share."""
    machine = Monitors()
    Fragment.get(Machine(config("tiny"), observed=True), machine)
    lines = ["| unit | contract |", "|---|---|"]
    lines += [f"| {unit} | {text} |" for unit, text in sorted({(c.unit, c.text) for c in machine.contracts})]
    users: dict[str, list[set[str]]] = {}
    for access in machine.accesses:
        users.setdefault(access.memory.name, [set(), set()])[access.write].add(access.who)
    lines += ["", "| memory | read by | written by |", "|---|---|---|"]
    lines += [f"| {name} | {', '.join(sorted(r))} | {', '.join(sorted(w))} |" for name, (r, w) in sorted(users.items())]
    return "\n".join(lines) + "\n"


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
