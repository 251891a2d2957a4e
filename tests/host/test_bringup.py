"""`python -m host.bringup`: eyes and the memory test over the link, at packet level and through the gateware."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware.dram.initialisation import FILE_NAME, Initialisation
from gateware.config import config
from gateware.link.packets import Command, Request, Status
from gateware.machine import Machine
from host import bringup
from host.command.errors import HostError
from host.devices.emulated_link import EmulatedLink
from host.devices.linked import ConnectedDevice
from host.devices.registry import DEVICES, register
from host.dram import constants as constants_module
from host.dram.constants import awake, initialise
from host.dram.leveling import Lane
from host.link.connection import Connection
from host.link.transport import InProcessTransport
from hw.dram.generate import generate
from hw.dram.settings import ARTY_A7
from sim.emulator.emulation import Emulation, RunState
from tests.gateware.link.link_board import IDENTITY
from tests.host.devices.link_devices import DeviceModel
from tests.host.dram.phy_model import Phy

EYES = [(0, 5, range(3, 14)), (0, 1, range(20, 32))]
CHOSEN = (Lane(0, 5, 8, 11), Lane(0, 1, 26, 12))


@pytest.fixture(scope="module")
def constants() -> Initialisation:
    return generate(ARTY_A7).initialisation


class Board(DeviceModel):
    """An Arty whose memory takes nothing before it is brought up; `broken` changes what is written to memory."""

    def __init__(self, phy: Phy, broken: Callable[[int, bytes], tuple[int, bytes]] = lambda *same: same) -> None:
        self.phy, self.broken = phy, broken
        super().__init__()

    def _act(self, request: Request) -> tuple[Status, bytes]:
        if request.command == Command.IDENTIFY:
            fingerprint = config("arty_a7", "lean").fingerprint
            return Status.DONE, dataclasses.replace(IDENTITY, fingerprint=fingerprint).to_bytes()
        if request.command in (Command.READ, Command.WRITE) and not self.phy.registers["ddrctrl_init_done"]:
            return Status.MEMORY_TIMEOUT, b""
        if request.command == Command.WRITE:
            address, content = self.broken(request.address, request.payload)
            self.memory[address : address + len(content)] = content
            return Status.DONE, b""
        return super()._act(request)

    def _bus(self, command: Command, address: int, payload: bytes) -> tuple[Status, bytes]:
        if command == Command.CONTROL_WRITE:
            self.phy.write(address, int.from_bytes(payload, "little"))
            return Status.DONE, b""
        return Status.DONE, self.phy.read(address).to_bytes(4, "little")


@pytest.fixture
def opened() -> Iterator[Callable[[DeviceModel], None]]:
    """Has `--device model` be that model."""
    models: list[DeviceModel] = []

    def opener(argument: str) -> ConnectedDevice:
        return ConnectedDevice("model", Connection(InProcessTransport(models[-1].exchange)))

    register("model", opener)
    yield models.append
    del DEVICES["model"]


@pytest.fixture
def folder(tmp_path: Path, constants: Initialisation) -> Path:
    (tmp_path / FILE_NAME).write_text(constants.to_json())
    return tmp_path


SIZE = ["--size", "16384", "--seed", "7"]


def test_the_eyes_and_a_sound_memory(opened, folder, constants, capsys):
    opened(Board(Phy(constants, EYES)))
    command = ["--device", "model", "--build", str(folder), *SIZE]
    assert bringup.main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["configuration"] == "arty_a7_35, lean arithmetic"
    assert found["leveling"]["lanes"] == [dataclasses.asdict(lane) for lane in CHOSEN]
    right = [[index for index, good in enumerate(eye["right"]) if good] for eye in found["leveling"]["eyes"]]
    assert right == [list(delays) for _, _, delays in EYES]
    assert found["memory_test"]["passed"] and found["memory_test"]["seed"] == 7
    assert bringup.main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"0\t0\t5\t{'.' * 3 + '#' * 11 + '.' * 18}\t11\tdelay 8" in lines
    assert any("seed 7" in line for line in lines) and lines[-1].startswith("memory test: passed")


def test_a_lane_without_an_eye_shows_the_other_one(opened, folder, constants, capsys):
    opened(Board(Phy(constants, [EYES[0], (0, 0, range(0))])))
    assert bringup.main(["--device", "model", "--build", str(folder)]) == 2
    out, err = capsys.readouterr()
    assert "#" * 11 in out and "memory: up" not in out
    assert err.startswith("The memory cannot be brought up: byte lane 1 ") and err.count("\n") == 1


def stuck(address: int, content: bytes) -> tuple[int, bytes]:
    """Bit 3 of every 16th byte from 5 on is 0."""
    return address, bytes(b & ~8 if (address + i) % 16 == 5 else b for i, b in enumerate(content))


def lost_address_line(address: int, content: bytes) -> tuple[int, bytes]:
    return address & ~(1 << 13), content


def weak_cell(address: int, content: bytes) -> tuple[int, bytes]:
    """One bit at 0x2345 is always 1."""
    return address, bytes(b | 16 if address + i == 0x2345 else b for i, b in enumerate(content))


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        # The complement of bit 0 is the first beat that has a 1 there.
        (stuck, "(walking bits): at address 0x15 0xff was written and 0xf7 read"),
        (lost_address_line, "(address lines): at address 0x1 0x00 was written and 0x20 read"),
        (weak_cell, "(address in address): at address 0x2345"),
    ],
)
def test_a_memory_at_fault(broken, sentence: str, opened, folder, constants, capsys):
    opened(Board(Phy(constants, EYES), broken))
    assert bringup.main(["--device", "model", "--build", str(folder), *SIZE]) == 2
    err = capsys.readouterr().err
    assert sentence in err and err.count("\n") == 1


def test_loading_wakes_a_memory_that_is_not_up(constants, folder, monkeypatch):
    monkeypatch.setattr(constants_module, "BUILDS", folder)
    phy = Phy(constants, EYES)
    with Connection(InProcessTransport(Board(phy).exchange)) as link:
        with pytest.raises(HostError, match=r"arty_a7_35 or .*arty_a7: build that board with hw.build"):
            awake(link)
        (folder / "arty_a7").mkdir()
        (folder / FILE_NAME).rename(folder / "arty_a7" / FILE_NAME)
        awake(link)
        assert phy.registers["ddrctrl_init_done"] == 1
        writes = len(phy.log)
        awake(link)
        assert len(phy.log) == writes  # it is up: nothing is disturbed


class BoardWithPhy(Emulation):
    """The machine's gateware with a model of the PHY on its control port."""

    phy: Phy

    def run(self, max_cycles: int, receive: int = 0) -> RunState:
        end = self.cycles + max_cycles
        while self.cycles < end:
            if (state := super().run(min(8, end - self.cycles), receive)) != RunState.LIMIT:
                return state
            if self.output("control__cyc"):
                address = 4 * self.output("control__adr")
                if self.output("control__we"):
                    self.phy.write(address, self.output("control__dat_w"))
                else:
                    self.set_input("control__dat_r", self.phy.read(address))
                self.set_input("control__ack", 1)
                super().run(1)
                self.set_input("control__ack", 0)
        return RunState.LIMIT


def test_an_eye_that_moves_through_the_gateware_s_link(constants):
    """The eye is elsewhere on another board, or when it is warm: found again."""
    machine = config("tiny")
    with (
        BoardWithPhy(Machine(machine, observed=True), 16 << machine.address_bits) as board,
        Connection(EmulatedLink(board, machine.clock_mhz)) as link,
    ):
        for moved in (0, 7):
            delays = [range(eye.start + moved, min(32, eye.stop + moved)) for _, _, eye in EYES]
            eyes = [(0, read, eye) for (_, read, _), eye in zip(EYES, delays, strict=True)]
            board.phy = Phy(constants, eyes)
            lanes = initialise(link, constants)
            assert [(lane.read_bitslip, lane.delay, lane.window) for lane in lanes] == [
                (read, eye.start + len(eye) // 2, len(eye)) for _, read, eye in eyes
            ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--device", "reference"], "has no link"),
        (["--device", "sim:tiny", "--build", "FOLDER"], "has no memory controller on its control port"),
        (["--device", "sim:tiny", "--build", "nowhere"], "There is no dram.json in nowhere"),
        (["--device", "sim:tiny", "--test-only", "--size", "1000"], "a multiple of 16 bytes"),
        (["--device", "serial:/dev/nothing"], "cannot be opened"),
    ],
)
def test_mistakes(arguments: list[str], sentence: str, folder: Path, capsys):
    assert bringup.main([str(folder) if argument == "FOLDER" else argument for argument in arguments]) == 2
    err = capsys.readouterr().err
    assert sentence in err and err.count("\n") == 1


def test_the_emulated_board_s_memory_passes(capsys):
    assert bringup.main(["--device", "sim:tiny", "--test-only", *SIZE]) == 0
    assert "memory test: passed" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"registers": 1}', "\x00" * 100])
def test_constants_that_are_none(content: str, opened, folder: Path, constants, capsys):
    (folder / FILE_NAME).write_text(content)
    opened(Board(Phy(constants, EYES)))
    assert bringup.main(["--device", "model", "--build", str(folder)]) == 2
    assert "Cannot use" in capsys.readouterr().err
