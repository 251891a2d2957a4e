"""Operations, their ends, credits and steps between the two clocks: each once, in order, whatever either side does."""

import random

import pytest
from amaranth.sim import Simulator

from gateware.clocking import execute
from gateware.clocking.execute import ExecuteCrossing
from tests.gateware.clocking.faults import Direct, Forgetful, Hasty, Level

OPERATIONS = 60
PERIOD = 1e-8
CYCLES = 200 * OPERATIONS


class Machine:
    """Both sides of the crossing, at random paces. Whatever belongs to ``sync`` is driven after that clock's edges."""

    def __init__(self, dut: ExecuteCrossing, rng: random.Random) -> None:
        self.dut, self.rng = dut, rng
        self.bases = [rng.randrange(1 << 16) for _ in range(OPERATIONS)]
        self.gives = [(rng.randrange(16), rng.randrange(16)) for _ in range(OPERATIONS)]
        self.begun: list[int] = []
        self.accepted, self.told = 0, [0, 0]
        self.steps = self.counted = self.released = self.credits = 0
        self.ended = False

    async def offer(self, ctx):
        dut = self.dut
        for base, gives in zip(self.bases, self.gives, strict=True):
            while self.rng.random() < 0.4:
                await ctx.tick()
            ctx.set(dut.registers.a_base, base)
            ctx.set(dut.run.payload, {"read": gives[0], "read2": gives[1]})
            ctx.set(dut.run.valid, 1)
            while self.rng.random() < 0.3:
                await ctx.tick()
            ctx.set(dut.drain_ready, 1)
            while not (await ctx.tick().sample(dut.accept))[2]:
                pass
            self.accepted += 1
            assert self.accepted <= len(self.begun), "an operation is accepted before it has begun"
            ctx.set(dut.run.valid, 0)
            ctx.set(dut.drain_ready, 0)
            ctx.set(dut.registers.a_base, ~base)
        while min(self.told) < OPERATIONS:
            await ctx.tick()
            assert not ctx.get(dut.idle) or min(self.told) == OPERATIONS
        for _ in range(8):
            await ctx.tick()
        assert ctx.get(dut.idle) and max(self.told) == OPERATIONS
        assert self.credits == self.released, "a credit is lost or doubled"
        assert self.counted == self.steps // 2, "a pair of steps is lost or doubled"
        self.ended = True

    async def walk(self, ctx):
        """The issuer: takes an operation, makes steps, tells of its end."""
        dut, fast = self.dut, "fast"
        while True:
            ctx.set(dut.fast_run.ready, 1)
            while not (await ctx.tick(fast).sample(dut.fast_run.valid))[2]:
                pass
            index = len(self.begun)
            self.begun.append(ctx.get(dut.fast_registers.a_base))
            assert self.begun[index] == self.bases[index], f"operation {index} has another's registers"
            ctx.set(dut.fast_run.ready, 0)
            for _ in range(self.rng.randrange(1, 12)):
                ctx.set(dut.fast_stepping, 1)
                await ctx.tick(fast)
                self.steps += 1
                ctx.set(dut.fast_stepping, 0)
                while self.rng.random() < 0.2:
                    await ctx.tick(fast)
            waiting = [0, 1]
            for port in waiting:
                ctx.set(dut.fast_read[port].payload, {"semaphore": self.gives[index][port], "count": 1})
            while waiting:
                for port in range(2):
                    ctx.set(dut.fast_read[port].valid, port in waiting)
                sampled = await ctx.tick(fast).sample(*(port.ready for port in dut.fast_read))
                waiting = [port for port in waiting if not sampled[2 + port]]
            for port in range(2):
                ctx.set(dut.fast_read[port].valid, 0)

    async def listen(self, ctx):
        """The machine: takes semaphores and counts, gives credits."""
        dut = self.dut
        while True:
            for port in dut.read:
                ctx.set(port.ready, self.rng.random() < 0.6)
            release = self.rng.random() < 0.5 and min(self.told) < OPERATIONS
            ctx.set(dut.release, release)
            self.released += release
            sampled = await ctx.tick().sample(
                dut.stepping, *(s for port in dut.read for s in (port.valid, port.ready, port.payload.semaphore))
            )
            self.counted += sampled[2]
            for index in range(2):
                valid, ready, semaphore = sampled[3 + 3 * index : 6 + 3 * index]
                if valid and ready:
                    assert semaphore == self.gives[self.told[index]][index], "ends are told in another order"
                    self.told[index] += 1

    async def credit(self, ctx):
        while True:
            _, _, credit = await ctx.tick("fast").sample(self.dut.fast_release)
            self.credits += credit


def run(seed: int) -> None:
    print("seed", seed)
    machine = Machine(ExecuteCrossing(), random.Random(seed))
    simulator = Simulator(machine.dut)
    simulator.add_clock(PERIOD)
    simulator.add_clock(PERIOD / 2, phase=PERIOD / 2, domain="fast")
    for process in (machine.walk, machine.listen, machine.credit):
        simulator.add_testbench(process, background=True)
    simulator.add_testbench(machine.offer)
    simulator.run_until(PERIOD * CYCLES)
    assert machine.ended, "watchdog: not every operation was told of"
    assert len(machine.begun) == OPERATIONS


@pytest.mark.parametrize("seed", range(4))
def test_every_operation_crosses_once_and_is_told_of_once(seed: int):
    run(seed)


@pytest.mark.parametrize(
    ("name", "fault"),
    [("EventToFast", Level), ("EventToSync", Direct), ("StreamToFast", Forgetful), ("StreamToSync", Hasty)],
)
def test_a_crossing_that_is_broken_is_found(monkeypatch: pytest.MonkeyPatch, name: str, fault: type):
    monkeypatch.setattr(execute, name, fault)
    with pytest.raises(AssertionError):
        run(0)
