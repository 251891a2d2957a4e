"""A sequencer's pins, all of them, in every cycle, for words and answers that are anything."""

from typing import Any

import cocotb
from amaranth.hdl import Shape
from cocotb.triggers import RisingEdge

from gateware.control.sequencer import register_layout
from gateware.isa import REGISTERS, Engine, InstructionWord, Op, SemaphoreValue
from sim.cocotb.bench import generator, parameters, start
from sim.cocotb.streams import pack

MASK = (1 << 24) - 1


def pins(dut: Any) -> dict[str, int]:
    names = ("words__ready", "run__valid", "mark__valid", "taking", "give__valid", "illegal", "waiting")
    return {name: int(getattr(dut, name).value) for name in names}


def expected(engine: Engine, op: int, valid: bool, inputs: dict[str, bool], quiet: bool) -> dict[str, int]:
    """The pins; ``quiet``: the engine was idle in the cycle before."""
    known = {r.number for r in REGISTERS[engine]}
    answer = dict.fromkeys(("run__valid", "mark__valid", "taking", "give__valid", "illegal", "waiting"), 0)
    ready = False
    if op in known:
        ready = True
    elif op == Op.RUN:
        answer["run__valid"], ready = valid, inputs["run__ready"]
    elif op == Op.WAIT:
        answer["taking"] = answer["waiting"] = valid
        ready = inputs["taken"]
    elif op == Op.SIGNAL:
        answer["give__valid"], ready = valid and quiet, inputs["give__ready"] and quiet
    elif op == Op.MARK and engine is Engine.EXEC:
        answer["mark__valid"], ready = valid, inputs["mark__ready"]
    else:
        answer["illegal"] = valid
    return {name: int(pin) for name, pin in answer.items()} | {"words__ready": int(ready)}


@cocotb.test()
async def every_cycle(dut: Any) -> None:
    settings = parameters()
    engine = Engine[settings["engine"]]
    rng = generator("words")
    layout = register_layout(engine)
    registers = {r.name.lower(): 0 for r in REGISTERS[engine]}
    inputs = dict.fromkeys(("run__ready", "mark__ready", "taken", "give__ready", "idle"), False)
    for name in (*inputs, "words__valid", "words__payload"):
        getattr(dut, name).value = 0
    await start(dut, settings["cycles"] + 1000)
    dut.rst.value = 0
    word, valid, op, written = 0, False, 0, 0
    value, moved, quiet = 0, True, False
    for turn in range(settings["cycles"]):
        restart = rng.random() < 0.002
        if moved or restart:
            ops = [*(r.number for r in REGISTERS[engine]), *(Op.RUN, Op.WAIT, Op.SIGNAL, Op.MARK) * 3]
            op = rng.choice([*ops, rng.randrange(32)])
            value = rng.choice([rng.getrandbits(24), 0, MASK])
            word, valid = value | op << 24 | engine << 29, rng.random() < 0.8
        inputs = {name: rng.random() < 0.5 for name in inputs}
        for name, level in inputs.items():
            getattr(dut, name).value = level
        dut.words__payload.value, dut.words__valid.value, dut.rst.value = word, valid, restart
        await RisingEdge(dut.clk)
        pin = expected(engine, op, valid, inputs, quiet)
        quiet = inputs["idle"] and not (pin["run__valid"] and inputs["run__ready"]) and not restart
        assert pins(dut) == pin, f"cycle {turn}, operation {op}"
        for port in ("run__payload", "mark__payload", "give__payload", "take"):
            pins_of = getattr(dut, port)
            assert int(pins_of.value) == value & ((1 << len(pins_of)) - 1), f"cycle {turn}: {port}"
        said = int(dut.written.value)
        assert said & 1 == (written is not None and written > 0), f"cycle {turn}: written"
        if written:
            assert said >> 1 == written - 1, f"cycle {turn}: the number of the register written"
        assert int(dut.registers.value) == _packed(layout, registers), f"cycle {turn}: registers"
        # An illegal word stays; the machine stops. Here it goes.
        moved = bool(pin["words__ready"]) or bool(pin["illegal"]) or not valid
        written = 0
        if restart:
            registers = dict.fromkeys(registers, 0)
        else:
            for register in REGISTERS[engine]:
                if valid and op == register.number:
                    registers[register.name.lower()] = value & ((1 << register.width) - 1)
                    written = register.number + 1


def _packed(layout: Any, registers: dict[str, int]) -> int:
    """Registers are told as plain bits here: a signed one or one with fields is its bits."""
    bits = 0
    for name, field in layout:
        bits |= registers[name] << field.offset
        assert registers[name] >> Shape.cast(field.shape).width == 0
    return bits


@cocotb.test()
async def fields(dut: Any) -> None:
    """A word's value, operation and engine lie where `InstructionWord` says, and a semaphore's in its value."""
    for name in ("run__ready", "mark__ready", "taken", "give__ready", "idle", "words__valid"):
        getattr(dut, name).value = 0
    await start(dut, 1000)
    value = pack(SemaphoreValue.as_shape(), {"semaphore": 9, "unused": 0, "count": 200})
    dut.words__payload.value = pack(
        InstructionWord.as_shape(), {"value": value, "op": int(Op.WAIT), "engine": int(Engine.EXEC)}
    )
    dut.words__valid.value = 1
    await RisingEdge(dut.clk)
    assert dut.taking.value == 1 and int(dut.take.value) == value
