"""Programs word by word: what the assembler emits, and that the disassembler reads the same back."""

import numpy as np
import pytest

from firmware.disassemble import decode
from firmware.program.assembler import Assembler
from gateware.config import config
from gateware.isa import REGISTERS, RUN_FIELDS, Engine, Op, Register

TINY = config("tiny")
PREAMBLE = 2  # words of the fingerprint


def body(program: Assembler) -> list[int]:
    return [int(word) for word in program.words()[PREAMBLE : len(program)]]


def test_the_fingerprint_comes_first():
    low, high = Assembler(TINY).words()[:2].tolist()
    assert [w >> 24 for w in (low, high)] == [7 << 5 | 0, 7 << 5 | 1]
    assert (high & 0xFFFFFF) << 24 | low & 0xFFFFFF == TINY.fingerprint


def test_words_by_hand():
    program = Assembler(TINY)
    program.set(Engine.LOADT, "SRC_JUMP1", -4)
    program.set(Engine.EXEC, "STEPS", {"k_steps": 48, "halves": 1})
    program.run(Engine.EXEC, read=3, written2=15)
    program.wait(Engine.VEC, 2, 5)
    program.signal(Engine.LOADB, 9)
    program.mark(7)
    program.end()
    assert body(program) == [
        0x04FFFFFC,
        0x44000000 | 48 | 1 << 14,
        0x5800F003,
        0x79000502,
        0x3A000109,
        0x5B000007,
        0xFF000000,
    ]


def test_words_fill_beats():
    program = Assembler(TINY)
    program.end()
    words = program.words()
    assert words.dtype == np.uint32 and len(words) == 4 and words[3] == 0 and len(program) == 3


def test_a_register_is_set_only_where_it_changes():
    program = Assembler(TINY)
    program.set(Engine.LOADB, "SRC_BASE", 0)  # registers are 0 when a program starts
    program.set(Engine.LOADB, "SRC_BASE", 5)
    program.set(Engine.LOADT, "SRC_BASE", 5)  # another engine's
    program.set(Engine.LOADB, "SRC_BASE", 5)
    program.set(Engine.LOADB, "SRC_JUMP0", -1)
    program.set(Engine.LOADB, "SRC_JUMP0", -1)
    program.set(Engine.LOADB, "SRC_BASE", 0)
    assert body(program) == [0x20000005, 0x00000005, 0x22FFFFFF, 0x20000000]


def limits(register: Register) -> tuple[int, int]:
    if register.signed:
        return -(1 << (register.width - 1)), (1 << (register.width - 1)) - 1
    return 0, (1 << register.width) - 1


@pytest.mark.parametrize("engine", list(Engine))
def test_every_register_takes_its_limits_and_nothing_beyond(engine: Engine):
    for register in REGISTERS[engine]:
        low, high = limits(register)
        program = Assembler(TINY)
        program.set(engine, register.name, high)
        program.set(engine, register.name, low)
        values = [decode(word)[1].split(" = ")[1].split()[0] for word in body(program)]
        assert values == [str(high), str(low)], register.name
        for beyond in (low - 1, high + 1):
            with pytest.raises(ValueError, match=rf"^{register.name} must be {low} to {high}, not {beyond}$"):
                program.set(engine, register.name, beyond)


@pytest.mark.parametrize("engine", list(RUN_FIELDS))
def test_every_semaphore_of_a_run(engine: Engine):
    for field in RUN_FIELDS[engine]:
        program = Assembler(TINY)
        program.run(engine, **{field.name: 15})
        assert body(program) == [engine << 29 | Op.RUN << 24 | 15 << field.low]
        with pytest.raises(ValueError, match=f"RUN of {engine.name}.{field.name} must fit 4 bits, not 16"):
            program.run(engine, **{field.name: 16})


def test_what_does_not_fit_is_refused_and_leaves_no_word():
    program = Assembler(TINY)
    with pytest.raises(KeyError, match="VEC has no register TILES"):
        program.set(Engine.VEC, "TILES", 1)
    with pytest.raises(ValueError, match="STEPS has no field 'steps'; it has k_steps, halves, unsigned"):
        program.set(Engine.EXEC, "STEPS", {"steps": 1})
    with pytest.raises(ValueError, match="BLOCKS.rows_last must fit 8 bits, not 256"):
        program.set(Engine.EXEC, "BLOCKS", {"rows_last": 256})
    with pytest.raises(ValueError, match="RUN of VEC has no field 'read'; it has done"):
        program.run(Engine.VEC, read=1)
    with pytest.raises(ValueError, match="semaphore must fit 4 bits, not 16"):
        program.wait(Engine.EXEC, 16)
    with pytest.raises(ValueError, match="count must fit 8 bits, not 256"):
        program.signal(Engine.EXEC, 1, 256)
    with pytest.raises(ValueError, match="must fit 24 bits, not -1"):
        program.mark(-1)
    assert body(program) == []
    program.set(Engine.CONTROL, "LOG_BASE", 4)
    program.mark(0)
    before = len(program)
    with pytest.raises(ValueError, match="LOG_BASE must be set before the first MARK"):
        program.set(Engine.CONTROL, "LOG_BASE", 5)
    assert len(program) == before
