"""A memory behind a component's memory port in a cocotb bench, with random stalls wherever the port allows one."""

import random
from collections import deque
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from gateware.config import BEAT_BYTES


class MemoryPartner:
    """Takes commands and words whenever it likes, in any relation to each other, and answers whenever it likes.

    Parameters
    ----------
    dut : with the ports `memory__...`
    address_bits : of a beat address
    size : bytes
    rng, stall : probability that something does not happen in a cycle
    """

    def __init__(self, dut: Any, address_bits: int, size: int, rng: random.Random, stall: float) -> None:
        self.dut, self.address_bits, self.rng, self.stall = dut, address_bits, rng, stall
        self.content = bytearray(size)
        self._commands: deque[tuple[int, bool]] = deque()
        self._words: deque[int] = deque()
        self._answers: deque[int] = deque()
        self.reads = self.writes = 0
        self.written: list[tuple[int, int]] = []  # address, and word with its mask
        self.holds_back = False  # answers
        dut.memory__cmd__ready.value = 0
        dut.memory__wdata__ready.value = 0
        dut.memory__rdata__valid.value = 0
        cocotb.start_soon(self._run())

    def _yes(self) -> bool:
        return self.rng.random() >= self.stall

    async def _run(self) -> None:
        dut = self.dut
        takes_command = takes_word = brings = False
        while True:
            await RisingEdge(dut.clk)
            if takes_command and dut.memory__cmd__valid.value == 1:
                bits = int(dut.memory__cmd__payload.value)
                self._commands.append((bits & (1 << self.address_bits) - 1, bool(bits >> self.address_bits)))
            if takes_word and dut.memory__wdata__valid.value == 1:
                self._words.append(int(dut.memory__wdata__payload.value))
            if brings and self._answers:
                assert dut.memory__rdata__ready.value == 1, "a beat was not taken at once"
                self._answers.popleft()
            self._carry_out()
            takes_command, takes_word = self._yes() and len(self._commands) < 8, self._yes()
            brings = bool(self._answers) and not self.holds_back and self._yes()
            dut.memory__cmd__ready.value = int(takes_command)
            dut.memory__wdata__ready.value = int(takes_word)
            dut.memory__rdata__valid.value = int(brings)
            dut.memory__rdata__payload.value = self._answers[0] if brings else self.rng.getrandbits(128)

    def forget(self) -> None:
        """As in a reset: what was taken is not carried out any more, and nothing is answered."""
        for queue in (self._commands, self._words, self._answers):
            queue.clear()
        self.written.clear()
        self.holds_back = False
        self.stall = 0.0
        self.dut.memory__rdata__valid.value = 0

    def _carry_out(self) -> None:
        """Commands in their order; a write waits for its word, and what follows for the write."""
        while self._commands and self._yes():
            address, write = self._commands[0]
            at = BEAT_BYTES * address
            if write:
                if not self._words:
                    return
                word = self._words.popleft()
                for lane in range(BEAT_BYTES):
                    if word >> 128 + lane & 1:
                        self.content[at + lane] = word >> 8 * lane & 255
                self.writes += 1
                self.written.append((address, word))
            else:
                self._answers.append(int.from_bytes(self.content[at : at + BEAT_BYTES], "little"))
                self.reads += 1
            self._commands.popleft()
