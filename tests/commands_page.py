"""docs/commands.md: the options of every command, from the parsers themselves.

python -m tests.commands_page    writes it anew
"""

from __future__ import annotations

import argparse
import importlib
import sys

from tests.import_graph import ROOT

__all__ = ["COMMANDS", "PAGE", "page"]

PAGE = ROOT / "docs" / "commands.md"
COMMANDS = {
    "firmware.quantize": "firmware.quantize",
    "firmware.import_ivit": "firmware.import_ivit",
    "firmware.compare": "firmware.compare",
    "firmware.compile": "firmware.compile",
    "firmware.disassemble": "firmware.disassemble",
    "host.run": "host.run",
    "host.index": "host.index",
    "host.search": "host.search",
    "host.teach": "host.teach",
    "host.evaluate": "host.evaluate",
    "host.serve": "host.serve",
    "host.info": "host.info",
    "host.profile": "host.profile",
    "host.bringup": "host.bringup",
    "host.pace": "host.pace",
    "host.faults": "host.faults.__main__",
    "host.demo": "host.demo",
    "sim.reference": "sim.reference.__main__",
    "sim.bench": "sim.studies.performance.command",
    "sim.bench.models": "sim.studies.performance.models",
    "sim.ablation": "sim.studies.ablation.command",
    "sim.emulator.check": "sim.emulator.check",
    "sim.emulator.serve": "sim.emulator.serve",
    "sim.pins": "sim.pins.__main__",
    "sim.fuzz": "sim.fuzz.command",
    "hw.build": "hw.build",
    "hw.units": "hw.units.__main__",
    "hw.timing": "hw.timing.__main__",
    "hw.explore": "hw.explore",
}
"""Each command, and the module with its parser; that of firmware.finetune needs PyTorch."""

HEAD = """# Commands

Every command and its options, as `--help` tells them. `python -m tests.commands_page` writes this page from the
parsers. What a device is, and what the commands print, is on [devices and commands](host.md).

A command ends with status 0 if it did what was asked, with 2 and one sentence on standard error for a mistake, and with
130 when it is interrupted. Other statuses are named where they occur. The options of `firmware.finetune`, which needs
PyTorch, are on [finetune](finetune.md).
"""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\\\|").replace("<", "&lt;")


def _row(action: argparse.Action, formatter: argparse.HelpFormatter) -> str:
    value = formatter._metavar_formatter(action, action.dest.upper())(1)[0] if action.nargs != 0 else ""
    names = ", ".join(f"`{name}{' ' * bool(value)}{value}`" for name in action.option_strings) or f"`{value}`"
    return f"| {_cell(names)} | {_cell(formatter._expand_help(action) if action.help else '')} |"


def _section(command: str, parser: argparse.ArgumentParser) -> str:
    formatter = parser._get_formatter()
    actions = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    lines = [f"## python -m {command}", "", _cell(parser.description or "").replace("&lt;", "<"), ""]
    if actions:
        lines += ["| argument | meaning |", "|---|---|", *(_row(action, formatter) for action in actions), ""]
    return "\n".join(lines)


def page() -> str:
    """The page's text."""
    parsers = {command: importlib.import_module(module).parser() for command, module in COMMANDS.items()}
    return "\n".join([HEAD, *(_section(command, parser) for command, parser in parsers.items())])


def main() -> int:
    """Writes the page."""
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
