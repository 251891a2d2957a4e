"""Producers and consumers of Amaranth streams (`payload`, `valid`, `ready`) with seeded random stalls."""

import random
from collections.abc import Iterable
from typing import Any

import cocotb
from amaranth.hdl import Const, Shape
from amaranth.lib import data
from cocotb.triggers import RisingEdge
from cocotb.utils import get_sim_time

from sim.cocotb.bench import PERIOD_NS

__all__ = ["StreamMonitor", "StreamSource", "cycle", "pack", "unpack"]


def cycle() -> int:
    """Cycles since the start of the simulation."""
    return int(get_sim_time("ns")) // PERIOD_NS


def pack(layout: data.Layout, value: Any) -> int:
    """The bits of a payload whose shape is a `lib.data` layout (a component's port is one vector, not its fields).

    Raises OverflowError where a field does not fit, instead of truncating it.
    """
    bits = int(Const.cast(layout.const(value)).value) & ((1 << layout.size) - 1)
    if unpack(layout, bits) != _plain(value, layout):
        raise OverflowError(f"{value} does not fit {layout}; its fields would be truncated to {unpack(layout, bits)}.")
    return int(bits)


def unpack(shape: Any, bits: int) -> Any:
    """Python integers, lists and dicts of a payload of that shape from its bits."""
    if isinstance(shape, data.ArrayLayout):
        step = _width(shape.elem_shape)
        return [unpack(shape.elem_shape, (bits >> (i * step)) & ((1 << step) - 1)) for i in range(shape.length)]
    if isinstance(shape, data.Layout):
        return {
            str(name): unpack(field.shape, (bits >> field.offset) & ((1 << field.width) - 1)) for name, field in shape
        }
    plain = Shape.cast(shape)
    return bits - (1 << plain.width) if plain.signed and bits >> (plain.width - 1) & 1 else bits


def _width(shape: Any) -> int:
    return int(Shape.cast(shape).width)


def _plain(value: Any, layout: Any) -> Any:
    if isinstance(layout, data.ArrayLayout):
        return [_plain(item, layout.elem_shape) for item in value]
    if isinstance(layout, data.Layout):
        return {str(name): _plain(value.get(name, 0), field.shape) for name, field in layout}
    return int(value)


class _Stream:
    def __init__(self, dut: Any, name: str) -> None:
        self.clk = dut.clk
        self.valid, self.ready = getattr(dut, f"{name}__valid"), getattr(dut, f"{name}__ready")
        self.payload = getattr(dut, f"{name}__payload")


class StreamSource(_Stream):
    """Drives a stream that enters the unit.

    `stall` is the probability of an idle cycle before each payload, from `rng`. `valid` stays up, with the payload
    unchanged, until the transfer, as the stream rules demand. Without `valid` the payload is anything.
    """

    def __init__(self, dut: Any, name: str, rng: random.Random | None = None, stall: float = 0.0) -> None:
        super().__init__(dut, name)
        self.rng, self.stall = rng or random.Random(0), stall
        self.sent: list[int] = []  # the cycle of every transfer
        self.anything = random.Random(name)
        self.valid.value = 0

    def _idle(self) -> None:
        self.valid.value = 0
        self.payload.value = self.anything.getrandbits(len(self.payload))

    async def send(self, payloads: Iterable[int]) -> None:
        """Transfer payloads (bits, see `pack`) in order; returns after the edge of the last transfer."""
        for bits in payloads:
            while self.stall and self.rng.random() < self.stall:
                self._idle()
                await RisingEdge(self.clk)
            self.payload.value = bits
            self.valid.value = 1
            while True:
                await RisingEdge(self.clk)
                if self.ready.value == 1:
                    break
            self.sent.append(cycle())
        self._idle()

    def start(self, payloads: Iterable[int]) -> Any:
        """Starts `send` as a task of its own, to be awaited or cancelled."""
        return cocotb.start_soon(self.send(payloads))


class StreamMonitor(_Stream):
    """Consumes a stream that leaves the unit, into `received` (bits) and `times` (cycles).

    `stall` is the probability that `ready` is low in a cycle. It checks that a payload that was offered and not taken
    is offered again unchanged.
    """

    def __init__(self, dut: Any, name: str, rng: random.Random | None = None, stall: float = 0.0) -> None:
        super().__init__(dut, name)
        self.rng, self.stall, self.name = rng or random.Random(0), stall, name
        self.received: list[int] = []
        self.times: list[int] = []
        self.ready.value = 0
        self.task = cocotb.start_soon(self._run())

    async def _run(self) -> None:
        held: int | None = None
        self.ready.value = 0
        ready = False
        while True:
            await RisingEdge(self.clk)
            valid = self.valid.value == 1
            bits = int(self.payload.value) if valid else None
            if held is not None and bits != held:
                raise AssertionError(
                    f"stream {self.name}: {held:#x} was offered, then replaced by {bits} before a transfer"
                )
            if valid and ready and bits is not None:
                self.received.append(bits)
                self.times.append(cycle())
            held = bits if valid and not ready else None
            ready = not (self.stall and self.rng.random() < self.stall)
            self.ready.value = int(ready)

    async def wait(self, count: int) -> list[int]:
        """The first `count` payloads, when they have come. Guard it with a watchdog."""
        while len(self.received) < count:
            await RisingEdge(self.clk)
        return self.received[:count]

    def stop(self) -> None:
        """Stops consuming, for instance before a reset."""
        self.task.cancel()
        self.ready.value = 0
