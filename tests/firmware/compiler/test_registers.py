"""Registers with names and types: all of the instruction set's, and none that it has not."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest

from firmware.compiler.lower import registers as groups
from firmware.compiler.lower.registers import (
    ArrayRegisters,
    Blocks,
    Descriptor,
    ExecuteRegisters,
    Group,
    LoadConfig,
    LoadRegisters,
    OutputRegisters,
    Post,
    ResidualRegisters,
    ScoreRegisters,
    SkipRegisters,
    SoftmaxRegisters,
    Steps,
)
from firmware.program.assembler import Assembler
from gateware.config import config
from gateware.isa import REGISTERS, Engine, LoadTarget, PostMode, Transform, loop_registers, low_and_high, register

LOOPS = {*loop_registers("SRC", []), *loop_registers("DST", [])}
JUMPS = {name.replace("COUNT", "JUMP") for name in LOOPS}


@pytest.mark.parametrize(
    ("engine", "classes"),
    [
        (Engine.LOADT, [LoadRegisters]),
        (Engine.EXEC, [ArrayRegisters, OutputRegisters, ScoreRegisters, ResidualRegisters, SkipRegisters]),
        (Engine.VEC, [SoftmaxRegisters]),
    ],
)
def test_every_register_of_an_engine_has_a_name(engine: Engine, classes: list[type[Group]]):
    names = [field.name.upper() for group in classes for field in dataclasses.fields(group)]
    if engine is Engine.LOADT:
        names = [*(name for name in names if name not in ("SOURCE", "DESTINATION")), "SRC_BASE", "DST_BASE"]
        names += [*LOOPS, *JUMPS]
    assert sorted(names) == sorted(one.name for one in REGISTERS[engine])


def test_what_the_instruction_set_has_not_is_refused():
    with pytest.raises(KeyError, match="VEC has no register SPEED"):

        @groups._of(Engine.VEC)
        @dataclass(frozen=True)
        class Wrong(Group):
            speed: int

    with pytest.raises(TypeError, match=r"Bare.length has the fields \[\], the register \['length'\]"):

        @groups._of(Engine.VEC)
        @dataclass(frozen=True)
        class Bare(Group):
            length: int


def test_registers_are_set_in_their_order():
    load = LoadRegisters(
        source=Descriptor(5, ((8, 1),)),
        destination=Descriptor(-1, ((4, 1), (2, 16))),
        a_base=7,
        config=LoadConfig(target=LoadTarget.B, transform=Transform.TRANSPOSE),
    )
    settings = list(load.settings())
    names = [name for name, _ in settings]
    assert names[:2] == ["SRC_BASE", "DST_BASE"] and names[-2:] == ["A_BASE", "CONFIG"]
    found = dict(settings)
    assert found["SRC_BASE"] == 5 and found["DST_BASE"] == (1 << 22) - 1 and found["SRC_COUNT0"] == 1 - 8
    assert "SRC_JUMP1" not in names and found["DST_JUMP1"] == 16 - 3
    program = Assembler(config("tiny"))
    for name, value in settings:
        program.set(Engine.LOADB if name != "A_BASE" else Engine.LOADT, name, value)
    assert len(program) == 2 + 3 + 5 + 2  # the fingerprint; SRC and DST with their loops; A_BASE and CONFIG


def test_the_groups_of_the_array_follow_each_other():
    array = ArrayRegisters(
        a_base=0,
        a_block_stride=1,
        b_base=2,
        b_tile_stride=3,
        steps=Steps(k_steps=4, halves=True),
        tiles=5,
        blocks=Blocks(blocks=6, rows_last=7),
        post=Post(mode=PostMode.RESIDUAL, scatter=True),
        const_base=8,
        const_tile_stride=9,
    )
    skip = SkipRegisters(skip_base=1, skip_slab=2, skip_row=3)
    names = [name for name, _ in ExecuteRegisters(array, (ScoreRegisters(score_length=3), skip)).settings()]
    assert names == [
        *(one.name for one in REGISTERS[Engine.EXEC][:10]),
        "SCORE_LENGTH",
        "SKIP_BASE",
        "SKIP_SLAB",
        "SKIP_ROW",
    ]


@pytest.mark.parametrize("value", [0, 1, -1, 0x123456, -(1 << 31), (1 << 31) - 1, 1 << 24])
def test_32_bits_take_two_registers(value: int):
    low, high = low_and_high(value)
    for name, part in (("MULTIPLIER_LO", low), ("MULTIPLIER_HI", high)):
        assert 0 <= part < 1 << register(Engine.LOADT, name).width
    assert ((low | high << 24) + (1 << 31)) % (1 << 32) - (1 << 31) == value
