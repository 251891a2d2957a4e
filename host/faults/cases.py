"""The faults that a device behind a link must survive, each tried on a `Bench`."""

from __future__ import annotations

import dataclasses
import random
import struct
import tempfile
from functools import partial
from pathlib import Path

from firmware.program.file import save_program
from firmware.program.program import Program
from gateware.config import BEAT_BYTES, PRESETS, config
from gateware.link.datagrams import LINE_BITS_A_SECOND, line_bytes
from gateware.link.framing import frame_bytes
from gateware.link.packets import MAX_PACKET, MAX_PAYLOAD, WINDOW, ErrorCode
from host.command.errors import HostError
from host.faults.bench import ATTEMPTS, SLACK, TIMEOUT, Bench, Case, Row
from host.faults.channel import BYTE_FAULTS, FaultyTransport
from host.faults.ethernet import DATAGRAM_FAULTS, FaultyEthernet
from host.faults.packets import packets_to_the_device, packets_to_the_host
from host.link.connection import Connection
from host.link.errors import MachineStopped
from sim.reference.rounding import ceil_div

__all__ = ["CASES"]

SILENCE = TIMEOUT * ATTEMPTS
FINGERPRINT_BITS = 24  # of an instruction's value
FINGERPRINT_WITHIN = 64  # instructions from the program's first
UNKNOWN = 0xA0000000  # for an engine that there is not
BEHIND_FINGERPRINT = 4  # beats of instructions


def bytes_at_fault(kind: str, one_in: int) -> Case:
    """Bytes at fault while frames run; a program's upload too, and after each error a frame on a sound line."""

    def case(bench: Bench, short: bool) -> Row:
        row = Row(f"bytes: {kind}, 1 in {one_in:,}")
        bench.fresh()
        # The program goes over the bad line, too; in the short form not over the worst.
        frames, load = 2 if short else 40 if one_in > 1000 else 10, one_in > 1000 or not short
        bench.frames_at_fault(row, bench.line(kind), 1 / one_in, frames, load=load)
        return row

    return case


def datagrams_at_fault(kind: str, one_in: int) -> Case:
    """Datagrams at fault while frames run; a program's upload too."""

    def case(bench: Bench, short: bool) -> Row:
        row = Row(f"datagrams: {kind}, 1 in {one_in}")
        bench.fresh()
        line = FaultyEthernet(bench.emulation, bench.machine.clock_mhz, bench.rng, kind)
        # A window is on the line at once, and a request that waits behind it is not lost.
        packets = min(WINDOW, ceil_div(bench.program.memory.size, MAX_PAYLOAD))
        timeout = TIMEOUT + packets * 8 * line_bytes(frame_bytes(MAX_PACKET)) / LINE_BITS_A_SECOND
        bench.frames_at_fault(row, line, 1 / one_in, one_in // 6 + 1 if short else 10, timeout=timeout)
        return row

    return case


def cable_pulled(seconds: float | None) -> Case:
    """The cable is pulled in mid-upload, and is back after so long, or after the host has given up."""

    def case(bench: Bench, short: bool) -> Row:
        away = f"for {1000 * seconds:g} ms" if seconds else "for longer than the time-out"
        row = Row(f"cable pulled in mid-upload, {away}")
        for part in (0.5,) if short else (0.1, 0.3, 0.5, 0.7, 0.9):
            bench.fresh()
            line = bench.line()
            device = bench.device(line, upload=True)
            line.pull_at, line.pull_seconds = line.sent + int(part * bench.program.memory.size), seconds

            done = bench.attempt(row, device, partial(bench.loaded, device))
            row.require(done == (seconds is not None), "a pulled cable must be noticed, and a short pull survived")
            line.pulled, row.faults = False, row.faults + 1
            row.require(line.faults > 0, "no byte was lost")
            bench.recover(row, device, load=not done)
        return row

    return case


def second_host(bench: Bench, short: bool) -> Row:
    """Two hosts on one line: whoever comes later has the device, the other is told, and can take it back."""
    row = Row("two hosts on one line", faults=1)
    bench.fresh()
    line = bench.line()
    first = bench.device(line)
    first.load_program(bench.program, "the program")
    second = bench.device(line)
    row.require(not bench.attempt(row, first, lambda: bench.exact(first)), "the first host did not notice the second")
    second.load_program(bench.program, "the program")
    bench.attempt(row, second, lambda: bench.exact(second))
    bench.recover(row, first)
    return row


def reset_in_mid_frame(bench: Bench, short: bool) -> Row:
    """The device's reset, by its button or its supply, while a frame is computed."""
    row = Row("device reset in mid-frame")
    bench.fresh()
    line = bench.line()
    device = bench.device(line)
    device.load_program(bench.program, "the program")
    for _ in range(1 if short else 5):
        line.on_pause = bench.emulation.reset
        row.require(not bench.attempt(row, device, lambda: bench.exact(device)), "the reset was not noticed")
        row.require(line.on_pause is None, "the frame was over before the reset")
        row.faults += 1
        bench.recover(row, device)
    return row


def other_machine(bench: Bench, short: bool) -> Row:
    """Programs for another configuration and for another arithmetic: refused by the host, and by the machine itself."""
    row = Row("program for another configuration or arithmetic")
    bench.fresh()
    device = bench.device(bench.line())
    other = next(name for name in PRESETS if name != bench.machine.name)
    arithmetic = "official" if bench.program.arithmetic == "lean" else "lean"
    for changed in ({"board": other}, {"arithmetic": arithmetic}):
        device.load_program(bench.program, "the program")
        program = dataclasses.replace(bench.program, **changed)  # type: ignore[arg-type]

        def refused(program: Program = program) -> bool:
            device.load_program(program, "the other program")
            return False

        row.faults += 1
        row.require(not bench.attempt(row, device, refused), f"{changed} was not refused by the host")
        bench.recover(row, device)
        # The same past the host's check: the machine compares the fingerprint that the program brings.
        fingerprint = config(program.board, program.arithmetic).fingerprint
        forged = with_fingerprint(bench, fingerprint)

        def stopped(forged: bytes = forged) -> bool:
            device.connection.write(bench.program.start * BEAT_BYTES, forged)
            return bench.exact(device)

        row.faults += 1
        row.require(not bench.attempt(row, device, stopped), f"{changed} was not refused by the machine")
        row.require(device.connection.status().error == ErrorCode.WRONG_CONFIG, "the machine gave another reason")
        bench.recover(row, device)
    return row


def with_fingerprint(bench: Bench, fingerprint: int) -> bytes:
    """The program's first instructions, with another fingerprint in them."""
    words = bench.program.words[:FINGERPRINT_WITHIN].copy()
    mask = (1 << FINGERPRINT_BITS) - 1
    places = [index for index, word in enumerate(words) if int(word) & mask == bench.machine.fingerprint & mask]
    if len(places) != 1:
        raise HostError(f"The program's fingerprint is expected once at its beginning, not {len(places)} times.")
    words[places[0]] = (int(words[places[0]]) & ~mask) | (fingerprint & mask)
    return words.tobytes()


def half_a_program(bench: Bench, short: bool) -> Row:
    """Program files cut short, and with a bit flipped, anywhere; the program before runs on."""
    row = Row("program file half written or damaged")
    bench.fresh()
    device = bench.device(bench.line())
    device.load_program(bench.program, "the program")
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        save_program(bench.program, whole)
        content = whole.read_bytes()
        lengths = [0, 1, 8, 100, len(content) // 2, len(content) - 1]
        damaged = [content[:length] for length in lengths]
        for _ in range(5 if short else 200):
            at = bench.rng.randrange(len(content))
            damaged.append(content[:at] + bytes([content[at] ^ 1 << bench.rng.randrange(8)]) + content[at + 1 :])
        path = Path(folder) / "program"
        for version in damaged:
            path.write_bytes(version)

            def load() -> bool:
                device.load_file(path)
                return False

            row.faults += 1
            row.require(not bench.attempt(row, device, load), "a damaged file was loaded")
    bench.recover(row, device, load=False)
    return row


def nothing_answers(bench: Bench, short: bool) -> Row:
    """A device that answers nothing, or nothing but noise: the host gives up in time, and finds it when it is back."""
    row = Row("device that answers nothing, or noise")
    bench.fresh()
    for noise in (0, 1) if short else (0, 1, 50, 1000):
        line = bench.line()
        line.pulled = True
        content = bench.rng.randbytes(noise)
        transport = _Noise(line, content) if noise else line
        begun = line.now()
        try:
            Connection(transport, TIMEOUT, ATTEMPTS)
            row.require(False, "a connection was made with nobody")
        except HostError as error:
            row.heard(str(error))
        row.took(line.now() - begun, SILENCE + SLACK)
        row.faults += 1
    device = bench.device(bench.line())
    bench.recover(row, device)
    return row


class _Noise(FaultyTransport):
    """A line on which nothing but noise comes back."""

    def __init__(self, line: FaultyTransport, content: bytes) -> None:
        super().__init__(line, random.Random(0))
        self._content = content

    def read(self, seconds: float) -> bytes:
        super().read(max(seconds / 4, SILENCE / 100))
        return self._content


def stopped_machine(bench: Bench, short: bool) -> Row:
    """A program that the machine stops for: an instruction that there is not."""
    row = Row("program with an unknown instruction", faults=1)
    bench.fresh()
    device = bench.device(bench.line())
    device.load_program(bench.program, "the program")
    words = struct.pack("<4I", *[UNKNOWN] * 4)

    def run() -> bool:
        device.connection.write((bench.program.start + BEHIND_FINGERPRINT) * BEAT_BYTES, words)
        try:
            return bench.exact(device)
        except MachineStopped as error:
            row.require(error.state.error == ErrorCode.ILLEGAL_INSTRUCTION, "the machine gave another reason")
            raise

    row.require(not bench.attempt(row, device, run), "the machine ran it")
    bench.recover(row, device)
    return row


CASES: tuple[Case, ...] = (
    *(bytes_at_fault(kind, one_in) for one_in in (10_000, 100) for kind in BYTE_FAULTS),
    *(datagrams_at_fault(kind, one_in) for one_in in (100, 10) for kind in DATAGRAM_FAULTS),
    cable_pulled(3 * TIMEOUT),
    cable_pulled(None),
    second_host,
    reset_in_mid_frame,
    other_machine,
    stopped_machine,
    half_a_program,
    nothing_answers,
    packets_to_the_device,
    packets_to_the_host,
)
"""Those of one process; `host.faults.served` has those of a board in another."""
