"""Lists the words of a program, or the instruction set itself.

python -m firmware.disassemble PROGRAM
python -m firmware.disassemble --table > docs/isa.md

PROGRAM is a program file (its tensor `program` is read, and nothing else of it is checked but the version of the
instruction set, so that a program for another machine can be looked at too) or raw uint32 words in a .npy file.
"""

from __future__ import annotations

import argparse
import enum
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from gateware.isa import (
    ERROR_SENTENCES,
    ISA_VERSION,
    REGISTERS,
    RUN_FIELDS,
    SEMAPHORE_FIELDS,
    Constants,
    Engine,
    ErrorCode,
    Field,
    InstructionWord,
    LoadTarget,
    Op,
    PostMode,
    Register,
    Transform,
    fields_of,
    parts,
)
from sim.reference.errors import UserError, exit_status

__all__ = ["decode", "instruction_table", "listing", "read_words"]

NAMED: dict[str, type[enum.IntEnum]] = {"target": LoadTarget, "transform": Transform, "mode": PostMode}


def _fields(value: int, fields: Iterable[Field]) -> str:
    """The fields that are not 0, by name."""
    shown = []
    for field in fields:
        part = field.of(value)
        if part:
            names = NAMED.get(field.name)
            shown.append(f"{field.name}={names(part).name if names else part}")
    return " ".join(shown)


def _set(register: Register, value: int) -> str:
    spare = value >> register.width
    value &= (1 << register.width) - 1
    if register.signed and value >> (register.width - 1):
        value -= 1 << register.width
    text = f"{register.name} = {value}"
    if register.fields:
        text += f" ({_fields(value, register.fields) or 'all fields 0'})"
    return text + (f"; ignored above its {register.width} bits: {spare:#x}" if spare else "")


def decode(word: int) -> tuple[str, str]:
    """Engine and meaning of one word; `illegal` where the machine would stop at it."""
    number, op, value = parts(word)
    if number not in list(Engine):
        return f"?{number}", "illegal: there is no such engine"
    engine = Engine(number)
    register = next((r for r in REGISTERS[engine] if r.number == op), None)
    if register is not None:
        return engine.name, _set(register, value)
    if op == Op.END and engine is Engine.CONTROL:
        return engine.name, "END"
    if op == Op.MARK and engine is Engine.EXEC:
        return engine.name, f"MARK {value}"
    if op == Op.RUN and engine in RUN_FIELDS:
        return engine.name, f"RUN {_fields(value, RUN_FIELDS[engine])}".rstrip()
    if op in (Op.WAIT, Op.SIGNAL) and engine is not Engine.CONTROL:
        semaphore, count = (field.of(value) for field in SEMAPHORE_FIELDS)
        return engine.name, f"{Op(op).name} semaphore={semaphore} count={count}"
    return engine.name, f"illegal: it has no operation {op}"


def listing(words: npt.NDArray[np.uint32]) -> Iterator[str]:
    """A line a word: its index, its bits, engine and meaning. Ends with END; what pads the last beat is no program."""
    for index, word in enumerate(words.tolist()):
        engine, meaning = decode(word)
        yield f"{index:7}  {word:08x}  {engine:7}  {meaning}"
        if meaning == "END":
            return


def read_words(path: Path) -> npt.NDArray[np.uint32]:
    """The words of a program file or of a .npy file.

    Raises
    ------
    UserError : it is absent, damaged, of another instruction set, or holds no uint32 words
    """
    if not path.is_file():
        raise UserError(f"{path} is not a file; a program file or a .npy file of words is expected.")
    version = str(ISA_VERSION)
    try:
        if path.suffix == ".npy":
            words = np.load(path, allow_pickle=False)
        else:
            with safe_open(path, framework="numpy") as file:
                version = (file.metadata() or {}).get("isa", version)
                words = file.get_tensor("program")
    except (SafetensorError, OSError, ValueError, EOFError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(f"{path} is truncated, damaged or holds no program ({reason}); compile it again.") from error
    if version != str(ISA_VERSION):
        raise UserError(f"{path} has instruction set {version!r}, but {str(ISA_VERSION)!r} is known; compile it again.")
    if words.dtype != np.uint32 or words.ndim != 1:
        raise UserError(f"{path} holds {words.ndim}-dimensional {words.dtype}, but a program is one row of uint32.")
    result: npt.NDArray[np.uint32] = words
    return result


def _bits(field: Field) -> str:
    return str(field.low) if field.width == 1 else f"{field.low + field.width - 1}..{field.low}"


def _rows(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [*("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines), ""]


def _field_list(fields: Iterable[Field]) -> str:
    return ", ".join(f"`{f.name}` {_bits(f)}" for f in fields)


def instruction_table() -> str:
    """The instruction set as Markdown, from `gateware.isa` alone."""
    lines = [
        "# The instruction set",
        "",
        f"Version {ISA_VERSION}. `python -m firmware.disassemble --table > docs/isa.md` makes this page from "
        "`gateware/isa/`. [Machine](machine.md#engines) says what words do, the [glossary](glossary.md) has terms.",
        "",
        "## Words",
        "",
        f"A word has 32 bits: {_field_list(fields_of(InstructionWord))}. "
        f"Operations 0 to {Op.RUN - 1} are SET: they write the engine's register of that number.",
        "",
    ]
    values = {
        Op.RUN: "the semaphores that the operation gives; their fields are below, engine by engine",
        Op.WAIT: _field_list(SEMAPHORE_FIELDS),
        Op.SIGNAL: _field_list(SEMAPHORE_FIELDS),
        Op.MARK: "EXEC only: slot of the log",
        Op.END: "CONTROL only: 0",
    }
    lines += _rows(["operation", "number", "value"], ([op.name, int(op), values[op]] for op in Op))
    for engine in Engine:
        lines += [f"## {engine.name}", "", f"Engine {int(engine)}.", ""]
        if engine in RUN_FIELDS:
            lines[-2] += f" RUN: {_field_list(RUN_FIELDS[engine])}."
        lines += _rows(
            ["number", "register", "bits", "meaning", "fields"],
            (
                [r.number, f"`{r.name}`", f"{r.width}{' signed' * r.signed}", r.text, _field_list(r.fields)]
                for r in sorted(REGISTERS[engine], key=lambda r: r.number)
            ),
        )
    lines += ["## Values of fields", ""]
    lines += _rows(
        ["field", "values"],
        ([f"`{name}`", ", ".join(f"{int(v)} {v.name}" for v in values)] for name, values in NAMED.items()),
    )
    lines += ["## Constants of a channel", "", f"One beat: {_field_list(fields_of(Constants))}.", "", "## Errors", ""]
    lines += _rows(["code", "name", "why"], ([int(c), c.name, ERROR_SENTENCES.get(c, "")] for c in ErrorCode))
    return "\n".join(lines).rstrip("\n") + "\n"


def run(arguments: argparse.Namespace) -> int:
    """Prints the listing or the table; 0."""
    if (arguments.program is None) != arguments.table:
        raise UserError("Name a program or say --table, and not both.")
    lines = [instruction_table().rstrip("\n")] if arguments.table else listing(read_words(arguments.program))
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough; stdout must not complain again when the interpreter ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m firmware.disassemble", description=(__doc__ or "").splitlines()[0])
    result.add_argument(
        "program", type=Path, nargs="?", metavar="PROGRAM", help="program file, or words in a .npy file"
    )
    result.add_argument("--table", action="store_true", help="print the instruction set as Markdown instead")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    return exit_status(lambda: run(parser().parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
