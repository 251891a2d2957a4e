"""The instruction set's layout is consistent, and what does not fit a word is refused."""

import dataclasses

import pytest
from amaranth.lib.data import Layout

from gateware.config import ConfigError, changed, config, settings
from gateware.isa import (
    REGISTERS,
    RUN_FIELDS,
    VALUE_BITS,
    Constants,
    Engine,
    Field,
    InstructionWord,
    Op,
    SemaphoreValue,
    encode,
    joined,
    low_and_high,
    pack_fields,
    parts,
    register,
)


def overlapping(fields: tuple[Field, ...], width: int) -> bool:
    masks = [((1 << f.width) - 1) << f.low for f in fields]
    return sum(masks) >= 1 << width or any(a & b for i, a in enumerate(masks) for b in masks[:i])


@pytest.mark.parametrize("engine", list(Engine))
def test_registers_fit_and_do_not_collide(engine: Engine):
    registers = REGISTERS[engine]
    numbers = [r.number for r in registers]
    assert len(set(numbers)) == len(numbers) and all(0 <= n < Op.RUN for n in numbers)
    assert len({r.name for r in registers}) == len(registers)
    for r in registers:
        assert 1 <= r.width <= VALUE_BITS
        assert not overlapping(r.fields, r.width), r.name
    assert not overlapping(RUN_FIELDS.get(engine, ()), VALUE_BITS)


def test_a_word():
    assert Layout.cast(InstructionWord).size == 32 and Layout.cast(Constants).size == 128
    assert Layout.cast(SemaphoreValue).size <= VALUE_BITS
    assert encode(Engine.EXEC, Op.RUN, 5) == (2 << 29) | (24 << 24) | 5
    assert parts(encode(Engine.EXEC, Op.RUN, 5)) == (Engine.EXEC, Op.RUN, 5) and parts(0xFFFFFFFF) == (7, 31, 0xFFFFFF)
    assert all(joined(*low_and_high(bits)) == bits for bits in (0, 0xFFFFFF, 1 << 24, 0x89ABCDEF, 0xFFFFFFFF))
    with pytest.raises(ValueError, match="must fit 24 bits, not 16777216"):
        encode(Engine.EXEC, 0, 1 << 24)


def test_fields_are_packed_or_refused():
    post = register(Engine.EXEC, "POST")
    assert pack_fields(post.fields, {"mode": 3, "track_max": 1}, "POST") == 0b1011
    with pytest.raises(ValueError, match="POST has no field 'colour'"):
        pack_fields(post.fields, {"colour": 1}, "POST")
    with pytest.raises(ValueError, match="POST.mode must fit 2 bits, not 4"):
        pack_fields(post.fields, {"mode": 4}, "POST")
    with pytest.raises(KeyError, match="VEC has no register POST"):
        register(Engine.VEC, "POST")


def test_presets_differ_by_fingerprint_and_aliases_do_not():
    assert config("arty_a7") is config("arty_a7_35")
    assert config("arty_a7").fingerprint != config("arty_a7", "official").fingerprint
    assert config("arty_a7").macs_per_cycle == 176 and config("arty_a7").array_dsp == 88
    with pytest.raises(ConfigError, match="unknown board or configuration 'zybo'"):
        config("zybo")


def test_other_numbers_and_what_they_are():
    machine = changed(config("tiny", "official"), ["rows=5", "clock_mhz=50", "dsp_in_layernorm=False"])
    assert (machine.rows, machine.clock_mhz, machine.dsp_in_layernorm) == (5, 50.0, False)
    assert settings(machine) == ("rows=5", "clock_mhz=50.0", "dsp_in_layernorm=False")
    assert changed(config("tiny", "official"), settings(machine)) == machine and settings(config("tiny")) == ()
    assert changed(machine, ["dsp_in_layernorm=1"]).dsp_in_layernorm
    assert not changed(config("tiny"), ["dsp_in_layernorm=0"]).dsp_in_layernorm
    for text, says in (
        ("size=3", "names no number"),
        ("name=x", "names no number"),
        ("rows=many", "gives no number"),
        ("dsp_in_layernorm=no", "gives no number"),
    ):
        with pytest.raises(ConfigError, match=f"--set {text} {says}"):
            changed(config("tiny"), [text])


def test_a_machine_that_cannot_be_is_refused():
    with pytest.raises(ConfigError, match=r"columns \* pack must be 4.*not 6"):
        dataclasses.replace(config("tiny"), columns=3)
