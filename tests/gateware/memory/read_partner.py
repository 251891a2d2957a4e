"""A memory behind a `ReadPort` in a cocotb bench: takes commands whenever it likes, answers them in order, later."""

import random
from collections import deque
from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge


class ReadPartner:
    """Parameters
    ----------
    dut : with the ports `NAME__...`
    content : the beat at an address
    rng, stall : probability that nothing happens in a cycle, both of commands and of answers
    """

    def __init__(
        self, dut: Any, name: str, content: Callable[[int], int], rng: random.Random, stall: float, latency: int = 2
    ) -> None:
        self.clk, self.content, self.rng, self.stall, self.latency = dut.clk, content, rng, stall, latency
        self.valid, self.beat = getattr(dut, f"{name}__valid"), getattr(dut, f"{name}__beat")
        self.cmd_valid, self.cmd_ready = (getattr(dut, f"{name}__cmd__{end}") for end in ("valid", "ready"))
        self.address = getattr(dut, f"{name}__cmd__payload")
        self.asked: list[int] = []
        self._due: deque[tuple[int, int]] = deque()  # countdown, address
        self.valid.value = self.cmd_ready.value = 0
        self.task = cocotb.start_soon(self._run())

    def stop(self) -> None:
        """Before a reset: nothing is taken, nothing comes, and nothing is owed."""
        self.task.cancel()
        self.valid.value = self.cmd_ready.value = 0

    async def _run(self) -> None:
        ready, turn = False, 0
        while True:
            await RisingEdge(self.clk)
            turn += 1
            if ready and self.cmd_valid.value == 1:
                address = int(self.address.value)
                self.asked.append(address)
                self._due.append((turn + self.latency + int(self.rng.random() < self.stall) * 9, address))
            brings = bool(self._due) and self._due[0][0] <= turn and self.rng.random() >= self.stall
            self.valid.value = int(brings)
            self.beat.value = self.content(self._due.popleft()[1]) if brings else self.rng.getrandbits(128)
            ready = self.rng.random() >= self.stall
            self.cmd_ready.value = int(ready)
