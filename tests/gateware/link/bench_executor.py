"""The executor among neighbours in Python: what it asks of them, and its answers, against docs/link.md."""

from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from gateware.counters import COUNTERS
from gateware.link.packets import WINDOW, Command, Request
from sim.cocotb.bench import generator, parameters, reset, start
from sim.cocotb.streams import cycle
from tests.gateware.link.executor_model import Around, ExecutorModel, any_around, any_request

SESSION = 0xC0B5
LONGEST = 60_000  # cycles of a request
CALM = Around(1, False, 0, [0] * len(COUNTERS), 1, content=bytes(100))


class Neighbours:
    """Receiver, transmitter, memory, control bus and machine, a cycle at a time."""

    def __init__(self, dut: Any, stall: float) -> None:
        self.dut, self.stall, self.rng = dut, stall, generator("neighbours")
        self.timeout = 1 << parameters()["timeout_bits"]
        self.forget()

    def forget(self) -> None:
        """As after a reset."""
        self.packet, self.around, self.request = b"", Around(0, False, 0, [], 1), Request(0, 0, 0)
        self.asked: list[tuple[Any, ...]] = []
        self.answer: tuple[str, bytes] = "", b""
        self.released, self.came = False, 0
        self.filling, self.short, self.bytes, self.pause = False, False, bytearray(), 0
        self.transfer, self.moved, self.wait, self.beats = "", 0, 0, 0
        self.bus_for, self.bus_seen = 0, (0, 0)
        self.ready = self.takes = False
        self.drive(0)

    def give(self, request: Request, around: Around) -> None:
        """The next packet, and what is around it."""
        dut = self.dut
        self.packet, self.request, self.around = request.to_bytes(), request, around
        self.asked, self.answer, self.released, self.came, self.beats = [], ("", b""), False, cycle(), 0
        dut.packets__length.value, dut.packets__peer.value = len(self.packet), around.peer
        dut.machine__busy.value, dut.machine__error.value = int(around.busy), around.error
        for index, counter in enumerate(around.counters):
            getattr(dut, f"machine__counters__{index}").value = counter

    async def step(self) -> None:
        """One cycle."""
        await RisingEdge(self.dut.clk)
        address = int(self.dut.packets__address.value)
        byte = self.packet[address] if address < len(self.packet) else self.rng.getrandbits(8)
        self._machine()
        self._bus()
        self._transfer()
        self._answers()
        if self.dut.packets__release.value == 1:
            assert not self.released and self.answer[0], "a packet is released after its answer, once"
            self.released = True
        self.drive(byte)

    def drive(self, byte: int) -> None:
        """The next cycle's inputs."""
        dut, yes = self.dut, self._yes
        dut.packets__present.value = int(bool(self.packet) and not self.released)
        dut.packets__byte.value = byte
        self.ready = self.filling and yes()
        dut.answers__data__ready.value = int(self.ready)
        dut.answers__ready.value = int(not self.filling and not self.pause)
        self.takes = self.transfer == "gather" and yes()
        dut.transfer__source__ready.value = int(self.takes)
        dut.transfer__waits.value = int(self.transfer in ("store", "ask") and self.wait > 0)
        bytes_there = self.transfer == "bytes"
        dut.transfer__sink__valid.value = int(bytes_there)
        dut.transfer__sink__payload.value = self.around.content[self.moved] if bytes_there else self.rng.getrandbits(8)
        last_read = bytes_there and self.ready and self.moved == (self.request.length or 0) - 1
        last_written = self.transfer == "store" and not self.wait and self.moved == len(self.request.payload)
        dut.transfer__done.value = int(last_read or last_written)
        answers = self.bus_for == self.around.bus_cycles
        dut.control__ack.value = int(answers and self.around.bus == "ack")
        dut.control__err.value = int(answers and self.around.bus == "err")
        dut.control__dat_r.value = self.around.register if answers else self.rng.getrandbits(32)

    def _yes(self) -> bool:
        return not self.stall or self.rng.random() >= self.stall

    def _machine(self) -> None:
        dut = self.dut
        if dut.machine__start.value == 1:
            self.asked.append(("start", int(dut.machine__program.value)))
        if dut.machine__stop.value == 1:
            self.asked.append(("stop",))

    def _bus(self) -> None:
        dut, around = self.dut, self.around
        assert dut.control__stb.value == dut.control__cyc.value
        last = around.bus_cycles if around.bus else self.timeout - 1
        if dut.control__cyc.value == 1:
            assert self.bus_for <= last, "the transfer on the control bus is over"
            written = int(dut.control__dat_w.value) if dut.control__we.value == 1 else None
            asked = ("bus", int(dut.control__adr.value), written)
            if self.bus_for == 0:
                self.asked.append(asked)
            assert self.asked[-1] == asked, "a transfer on the control bus stays the same"
            self.bus_for += 1
        elif self.bus_for:
            assert self.bus_for == last + 1, "the transfer on the control bus is not over"
            self.bus_for = 0

    def _transfer(self) -> None:
        dut, request = self.dut, self.request
        waits = self.transfer in ("store", "ask") and self.wait > 0
        given_up = waits and self.stuck and self.wait == 1
        assert dut.transfer__abandon.value == given_up, "memory may take so many cycles"
        if given_up:
            self.transfer = ""
        elif waits:
            self.wait -= 1
        elif self.transfer == "gather":
            if self.takes and dut.transfer__source__valid.value == 1:
                self.asked[-1][2].append(int(dut.transfer__source__payload.value))
                self.moved += 1
                last = self.moved == len(request.payload)
                assert dut.transfer__last.value == last
                if last or (request.address + self.moved) % 16 == 0:
                    self._beat("store")
        elif self.transfer == "store":
            over = self.moved == len(request.payload)
            assert dut.transfer__source__valid.value == (not over), "a byte is offered while there is one"
            self.transfer = "" if over else "gather"
        elif self.transfer == "ask":
            self.transfer = "bytes"
        elif self.transfer == "bytes":
            assert dut.transfer__sink__ready.value == self.ready
            if self.ready:
                self.moved += 1
                last = self.moved == request.length
                assert dut.transfer__last.value == last
                if last:
                    self.transfer = ""
                elif (request.address + self.moved) % 16 == 0:
                    self._beat("ask")
        if dut.transfer__begin.value == 1:
            assert not self.transfer, "one transfer at a time"
            self.moved, address = 0, int(dut.transfer__address.value)
            if dut.transfer__writing.value == 1:
                self.asked.append(("write", address, bytearray()))
                self.transfer = "gather"
            else:
                self.asked.append(("read", address))
                self._beat("ask")

    def _beat(self, state: str) -> None:
        """Memory takes or brings a beat, some time or never."""
        self.transfer, self.stuck = state, self.beats == self.around.stops_after
        self.beats += 1
        few = self.rng.choice([0, 0, 0, 1, 2, self.timeout - 1]) if self.stall else 0
        self.wait = self.timeout if self.stuck else few

    def _answers(self) -> None:
        dut = self.dut
        begins, finishes = dut.answers__begin.value == 1, dut.answers__finish.value == 1
        idle = not self.filling and not self.pause
        self.pause = max(0, self.pause - 1)
        assert idle or self.filling or not begins, "an answer begins when none is sent"
        assert not finishes or self.ready, "an answer ends when its last byte has been taken"
        if dut.answers__again.value == 1:
            assert idle, "an answer is repeated when none is sent"
            self._sent("again", b"")
        if self.ready and dut.answers__data__valid.value == 1:
            self.bytes.append(int(dut.answers__data__payload.value))
        if begins:
            self.filling, self.short, self.bytes = True, dut.answers__short.value == 1, bytearray()
        if finishes:
            self._sent("short" if self.short else "kept", bytes(self.bytes))

    def _sent(self, kind: str, content: bytes) -> None:
        assert not self.answer[0], "one answer to a request"
        assert int(self.dut.peer.value) == self.around.peer, "for whom an answer is"
        self.answer, self.filling = (kind, content), False
        self.pause = self.rng.choice([0, 0, 3, 20]) if self.stall else 0


class Bench:
    """Requests one after the other, each compared with the model."""

    def __init__(self, dut: Any, stall: float) -> None:
        self.dut, self.rng = dut, generator("requests")
        self.model = ExecutorModel(parameters()["memory_beats"])
        self.neighbours = Neighbours(dut, stall)

    async def ask(self, request: Request, around: Around) -> int:
        """Give a request and compare what comes of it; the cycles until it is released."""
        there = self.neighbours
        expected = self.model.answer(request, around)
        there.give(request, around)
        there.drive(self.rng.getrandbits(8))
        while not there.released:
            await there.step()
            assert cycle() - there.came < LONGEST, f"{request} has no end"
        kind, answer = there.answer
        assert kind == self.model.kind, f"{request}: {kind} instead of {self.model.kind}"
        assert kind == "again" or answer == expected, f"{request}: {answer.hex()} instead of {expected.hex()}"
        asked = [tuple(bytes(item) if isinstance(item, bytearray) else item for item in one) for one in there.asked]
        assert asked == self.model.asked, f"{request}: asked for {asked} instead of {self.model.asked}"
        return cycle() - there.came

    async def pause(self, cycles: int) -> None:
        """Nothing is asked, and nothing happens."""
        asked = list(self.neighbours.asked)
        for _ in range(cycles):
            await self.neighbours.step()
            assert self.neighbours.asked == asked, "nobody asked for it"


async def prepare(dut: Any, stall: float) -> Bench:
    """After a reset, with a session and a history that the model knows: no reset clears it."""
    bench = Bench(dut, stall)
    await start(dut, 2_000_000)
    for number in range(WINDOW):
        await bench.ask(Request(SESSION, number, Command.OPEN, length=0), CALM)
    return bench


@cocotb.test()
async def any_requests(dut):
    """Requests of all kinds, right, at a limit and wrong, to neighbours that do anything."""
    bench = await prepare(dut, parameters()["stall"])
    for _ in range(parameters()["requests"]):
        around = any_around(bench.rng, bench.model, bench.neighbours.timeout)
        await bench.ask(any_request(bench.rng, bench.model), around)


@cocotb.test()
async def resets(dut):
    """After a reset no session is open and nothing is under way, whatever the executor was doing."""
    bench = await prepare(dut, parameters()["stall"])
    rng, model, there = bench.rng, bench.model, bench.neighbours
    for _ in range(parameters()["resets"]):
        await bench.ask(
            Request(SESSION, rng.randrange(256), Command.OPEN, length=0), any_around(rng, model, there.timeout)
        )
        for _ in range(rng.randrange(4)):
            await bench.ask(any_request(rng, model), any_around(rng, model, there.timeout))
        before, request, around = list(model.history), any_request(rng, model), any_around(rng, model, there.timeout)
        model.answer(request, around)
        there.give(request, around)
        for _ in range(rng.randrange(60)):
            await there.step()
        if not there.released:
            model.history = before
        there.forget()
        await reset(dut)
        model.restart()
        await bench.pause(rng.choice([0, 5]))
        for _ in range(2):
            await bench.ask(any_request(rng, model), any_around(rng, model, there.timeout))


@cocotb.test()
async def cycles(dut):
    """What a request takes where nobody keeps it waiting."""
    bench = await prepare(dut, 0.0)
    took = []
    for number, request in enumerate(
        [
            Request(SESSION, 0, Command.STATUS, length=0),
            Request(SESSION, 0, Command.WRITE, 16, bytes(64), 64),
            Request(SESSION, 0, Command.READ, 16, length=64),
            Request(SESSION, 0, Command.COUNTERS, length=0),
            Request(SESSION, 0, Command.CONTROL_READ, 4, length=0),
        ]
    ):
        await bench.pause(3)
        took.append(await bench.ask(Request(**{**request.__dict__, "sequence": WINDOW + number}), CALM))
    assert took == parameters()["took"], took
