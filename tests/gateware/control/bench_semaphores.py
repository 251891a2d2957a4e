"""Semaphores against counts kept beside them: who passes, when at the latest, and what is left at the end."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from gateware.isa import SemaphoreValue
from sim.cocotb.bench import generator, parameters, reset, start
from sim.cocotb.streams import StreamSource, cycle, pack, unpack

LAYOUT = SemaphoreValue.as_shape()
SEMAPHORES, COUNTS = 16, 256


def value(semaphore: int, count: int, rng: random.Random) -> int:
    return pack(LAYOUT, {"semaphore": semaphore, "count": count, "unused": rng.randrange(16)})


class Model:
    """Follows the pins. A gift of cycle t counts for whoever is told in cycle t + 3 that it passes, or later."""

    def __init__(self, dut: Any) -> None:
        settings = parameters()
        self.dut, self.givers, self.takers = dut, settings["givers"], settings["takers"]
        self.gifts: list[tuple[int, int, int]] = []  # cycle, semaphore, count: not counted yet
        self.settled = [0] * SEMAPHORES
        self.given, self.passed = 0, [0] * self.takers
        self.due: list[tuple[int, int] | None] = [None] * self.takers  # since when, and how many gifts there had been

    @property
    def outstanding(self) -> list[int]:
        totals = list(self.settled)
        for _, semaphore, count in self.gifts:
            totals[semaphore] += count
        return totals

    def forget(self) -> None:
        self.gifts.clear()
        self.settled = [0] * SEMAPHORES
        self.due = [None] * self.takers

    async def follow(self) -> None:
        while True:
            await RisingEdge(self.dut.clk)
            now = cycle()
            if self.dut.rst.value == 1:  # nothing happens
                self.due = [None] * self.takers
                continue
            while self.gifts and self.gifts[0][0] <= now - 3:
                _, semaphore, count = self.gifts.pop(0)
                self.settled[semaphore] = (self.settled[semaphore] + count) % COUNTS
            for index in range(self.takers):
                self._look(index, now)
            self._gifts(now)

    def _look(self, index: int, now: int) -> None:
        port = f"take__{index}__"
        taking, taken = (getattr(self.dut, port + name).value == 1 for name in ("taking", "taken"))
        wanted = unpack(LAYOUT, int(getattr(self.dut, port + "take").value))
        semaphore, count = wanted["semaphore"], wanted["count"]
        enough = taking and (semaphore == 0 or self.settled[semaphore] >= count)
        if taken:
            assert taking, f"taker {index} is told to pass and does not wait"
            assert enough, f"taker {index} passes semaphore {semaphore} with {self.settled[semaphore]} of {count}"
            self.settled[semaphore] -= count if semaphore else 0
            self.passed[index] += 1
            self.due[index] = None
        elif enough:
            since, gifts = self.due[index] or (now, self.given)
            self.due[index] = (since, gifts)
            limit = self.takers + 2 + self.takers * (self.given - gifts)
            assert now - since < limit, f"taker {index} still waits {now - since} cycles after there was enough"
        else:
            self.due[index] = None

    def _gifts(self, now: int) -> None:
        free = self.dut.clear.value == 0
        for index in range(self.givers):
            valid, ready = (getattr(self.dut, f"give__{index}__{name}").value == 1 for name in ("valid", "ready"))
            assert ready == free, f"giver {index} is {'not ' * (not ready)}ready"
            if valid and ready:
                gift = unpack(LAYOUT, int(getattr(self.dut, f"give__{index}__payload").value))
                self.given += 1
                if gift["semaphore"]:
                    self.gifts.append((now, gift["semaphore"], gift["count"]))
            free = free and not valid


async def begin(dut: Any) -> tuple[Model, list[StreamSource]]:
    model = Model(dut)
    dut.clear.value = 0
    for index in range(model.takers):
        getattr(dut, f"take__{index}__taking").value = 0
        getattr(dut, f"take__{index}__take").value = 0
    sources = [StreamSource(dut, f"give__{index}") for index in range(model.givers)]
    await start(dut, 60_000)
    await clear(dut, model)
    cocotb.start_soon(model.follow())
    return model, sources


async def clear(dut: Any, model: Model) -> None:
    dut.clear.value = 1
    for _ in range(16):
        await RisingEdge(dut.clk)
    dut.clear.value = 0
    model.forget()


async def take(dut: Any, index: int, semaphore: int, count: int, rng: random.Random, limit: int = 10_000) -> bool:
    """Wait until told to pass; False, and no longer waiting, after ``limit`` cycles."""
    port = f"take__{index}__"
    getattr(dut, port + "take").value = value(semaphore, count, rng)
    getattr(dut, port + "taking").value = 1
    for _ in range(limit):
        await RisingEdge(dut.clk)
        if getattr(dut, port + "taken").value == 1:
            getattr(dut, port + "taking").value = 0
            return True
    getattr(dut, port + "taking").value = 0
    return False


@cocotb.test()
async def random_traffic(dut: Any) -> None:
    """Every giver gives to all semaphores, every taker takes of its own; at the end each count is what it should be."""
    model, sources = await begin(dut)
    cycles = parameters()["cycles"]

    async def give(index: int) -> None:
        rng = generator(f"giver {index}")
        while cycle() < cycles:
            semaphore, count = (
                rng.randrange(SEMAPHORES),
                rng.choice([0, 1, 1, 2, 3, rng.randrange(60), rng.randrange(255)]),
            )
            # Gifts that are offered at the same time must not overflow either.
            if model.outstanding[semaphore] + count > (254 if count > 60 else 254 - 60 * model.givers // 3):
                count = 0
            await sources[index].send([value(semaphore, count, rng)])
            # All givers together: a gift in two or three cycles, and now and then one in every cycle.
            while rng.random() > (0.4 if cycle() % 1000 < 800 else 1.5) / model.givers:
                await RisingEdge(dut.clk)

    async def wait(index: int) -> None:
        rng = generator(f"taker {index}")
        own = [s for s in range(1, SEMAPHORES) if s % model.takers == index]
        while cycle() < cycles:
            semaphore = rng.choice([0, *own, *own])
            count = rng.choice([0, 1, 1, 2, rng.randrange(50), rng.randrange(256) if semaphore == 0 else 3])
            # One that is not served in time goes away and comes again: another semaphore may have more.
            await take(dut, index, semaphore, count, rng, 200)
            while rng.random() < 0.3:
                await RisingEdge(dut.clk)

    tasks = [cocotb.start_soon(give(index)) for index in range(model.givers)]
    tasks += [cocotb.start_soon(wait(index)) for index in range(model.takers)]
    for task in tasks:
        await task
    assert min(model.passed) > 50, model.passed
    assert dut.overflow.value == 0
    await drain(dut, model)


async def drain(dut: Any, model: Model) -> None:
    """Take what is left, exactly."""
    rng = generator("drain")
    for _ in range(4):
        await RisingEdge(dut.clk)
    for semaphore in range(1, SEMAPHORES):
        await take_all(dut, model, semaphore, rng)


async def take_all(dut: Any, model: Model, semaphore: int, rng: random.Random) -> None:
    """What a semaphore has, exactly."""
    index, left = semaphore % model.takers, model.settled[semaphore]
    for more in [left + (1 << bit) for bit in range(8) if left + (1 << bit) < COUNTS]:
        assert not await take(dut, index, semaphore, more, rng, 8), f"semaphore {semaphore} passes {more}, has {left}"
    assert await take(dut, index, semaphore, left, rng, 40), f"semaphore {semaphore}"
    assert not await take(dut, index, semaphore, 1, rng, 20), f"semaphore {semaphore} has one too many"


@cocotb.test()
async def overflow(dut: Any) -> None:
    """255 is a count, 256 an error that stays until all is cleared; semaphore 0 never has one."""
    model, sources = await begin(dut)
    rng = generator("overflow")
    await sources[0].send([value(0, 255, rng)] * 3)
    for semaphore in (1, 6, 15):
        first = rng.randrange(1, 255)
        await sources[0].send([value(semaphore, first, rng), value(semaphore, 255 - first, rng)])
        for _ in range(4):
            await RisingEdge(dut.clk)
        assert dut.overflow.value == 0
        assert await take(dut, 0, semaphore, 255, rng, 40)
        await sources[-1].send([value(semaphore, 255, rng), value(semaphore, 1, rng)])
        for _ in range(4):
            await RisingEdge(dut.clk)
        assert dut.overflow.value == 1
        await sources[0].send([value(3, 1, rng)])
        for _ in range(4):
            await RisingEdge(dut.clk)
        assert dut.overflow.value == 1, "forgotten"
        await sources[-1].send([value(semaphore, rng.randrange(128, 256), rng) for _ in range(3)])
        for _ in range(4):
            await RisingEdge(dut.clk)
        await take_all(dut, model, semaphore, rng)
        await clear(dut, model)
        await RisingEdge(dut.clk)
        assert dut.overflow.value == 0
        await drain(dut, model)


@cocotb.test()
async def cleared(dut: Any) -> None:
    """A clear amid gifts and waits leaves nothing: not a count, and not what was on its way to one."""
    model, sources = await begin(dut)
    rng = generator("clear")
    for _ in range(12):
        tasks = [
            source.start([value(rng.randrange(SEMAPHORES), rng.randrange(8), rng) for _ in range(12)])
            for source in sources
        ]
        dut.take__1__take.value = value(rng.randrange(1, SEMAPHORES), 100, rng)
        dut.take__1__taking.value = 1
        for _ in range(rng.randrange(1, 14)):
            await RisingEdge(dut.clk)
        for task in tasks:
            task.cancel()
        dut.take__1__taking.value = 0
        # A gift is offered all the time, and must not be taken.
        dut.give__0__valid.value = 1
        await clear(dut, model)
        for index in range(model.givers):
            getattr(dut, f"give__{index}__valid").value = 0
        await RisingEdge(dut.clk)
        await drain(dut, model)


@cocotb.test()
async def resets(dut: Any) -> None:
    """What comes in a reset is forgotten, the counts stay, and the first engine is looked at first."""
    model, sources = await begin(dut)
    rng = generator("resets")
    ports = [f"take__{index}__" for index in range(model.takers)]
    for turn in range(24):
        semaphore = rng.randrange(1, SEMAPHORES)
        await sources[0].send([value(semaphore, rng.randrange(1, 16), rng)])
        for _ in range(rng.randrange(4, 8)):
            await RisingEdge(dut.clk)
        # All ask in the cycles of the reset: the last engine for what is there, so that its wait would be over.
        dut.rst.value = 1
        dut.give__0__payload.value, dut.give__0__valid.value = value(semaphore, 5, rng), 1
        getattr(dut, ports[-1] + "take").value, getattr(dut, ports[-1] + "taking").value = value(semaphore, 1, rng), 1
        for number in range(rng.randrange(1, 4)):
            await RisingEdge(dut.clk)
            assert number == 0 or all(getattr(dut, port + "taken").value == 0 for port in ports), "passes in a reset"
        dut.give__0__valid.value = 0
        getattr(dut, ports[-1] + "taking").value = 0
        # Semaphore 0 lets everyone pass who is looked at.
        for port in ports:
            getattr(dut, port + "take").value, getattr(dut, port + "taking").value = value(0, 1, rng), turn % 2
        dut.rst.value = 0
        times: list[int] = []
        for number in range(2 + model.takers):
            await RisingEdge(dut.clk)
            told = [index for index, port in enumerate(ports) if getattr(dut, port + "taken").value == 1]
            for index in told:
                getattr(dut, ports[index] + "taking").value = 0
                times.append(index)
                assert number == 2 + index, f"taker {index} after {number} cycles"
        assert times == (list(range(model.takers)) if turn % 2 else []), times
    await drain(dut, model)


@cocotb.test()
async def reset_amid_waits(dut: Any) -> None:
    """Nobody passes in a reset, whenever it comes, and an overflow is forgotten."""
    model, sources = await begin(dut)
    rng = generator("waits")
    for moment in range(12):
        await sources[0].send([value(2, 255, rng), value(2, 1, rng)])
        for index in range(model.takers):
            getattr(dut, f"take__{index}__take").value = value(0, 0, rng)
            getattr(dut, f"take__{index}__taking").value = 1
        for _ in range(2 + moment):
            await RisingEdge(dut.clk)
        dut.rst.value = 1
        await RisingEdge(dut.clk)
        for _ in range(2):
            await RisingEdge(dut.clk)
            assert all(getattr(dut, f"take__{index}__taken").value == 0 for index in range(model.takers)), moment
            assert dut.overflow.value == 0
        for index in range(model.takers):
            getattr(dut, f"take__{index}__taking").value = 0
        await reset(dut)
        await clear(dut, model)
    await drain(dut, model)
