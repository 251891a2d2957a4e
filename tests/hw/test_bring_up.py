"""Bringing a DRAM up: against a model of a PHY with known delays, and over the control port of LiteDRAM itself."""

import dataclasses

import pytest

from hw.dram.bring_up import LEAST_WINDOW, Lane, bring_up
from hw.dram.generate import generate
from hw.dram.initialisation import COMMANDS, CONTROL, Initialisation
from hw.dram.settings import ARTY_A7, ULX3S, DramError
from sim.emulator.emulation import Emulation
from tests.sim.emulator_copier import Copier

DATA_BITS, DFI_BITS = 16, 32
LANE_BITS = [sum(0xFF << (edge + 8 * lane) for edge in (0, 16)) for lane in range(2)]
NOISE = 0x5A5A5A5A


class Phy:
    """A DDR3 PHY at its registers: what a lane writes and reads is right only with its own alignment and delay."""

    def __init__(self, constants: Initialisation, lanes: list[tuple[int, int, range]]) -> None:
        self.names = {address: name for name, address in constants.registers.items()}
        self.registers = dict.fromkeys(constants.registers, 0)
        self.lanes = lanes  # alignment of writes and reads, delays that work
        self.state = [{"wdly_dq_bitslip": 3, "rdly_dq_bitslip": 2, "rdly_dq_inc": 9} for _ in lanes]
        self.burst = [0, 0, 0, 0]
        self.log: list[tuple[str, int]] = []
        self.open = False

    def control_read(self, address: int) -> int:
        return self.registers[self.names[address]]

    def control_write(self, address: int, value: int) -> None:
        name = self.names[address]
        self.registers[name] = value
        self.log.append((name, value))
        if name.startswith("ddrphy_") and name not in ("ddrphy_dly_sel", "ddrphy_rst"):
            self._move(name.removeprefix("ddrphy_"))
        if name.endswith("_command_issue"):
            self._command(int(name[len("sdram_dfii_pi")]))

    def _move(self, name: str) -> None:
        for lane, state in enumerate(self.state):
            if self.registers["ddrphy_dly_sel"] >> lane & 1:
                if name == "rdly_dq_rst":
                    state["rdly_dq_inc"] = 0
                elif name.endswith("_rst"):
                    state[name.removesuffix("_rst")] = 0
                else:
                    state[name] = (state[name] + 1) % (32 if name == "rdly_dq_inc" else 8)

    def _command(self, phase: int) -> None:
        assert not self.registers["sdram_dfii_control"] & CONTROL["SEL"], "the controller has the memory"
        command = self.registers[f"sdram_dfii_pi{phase}_command"]
        if command == COMMANDS["CS"] | COMMANDS["RAS"]:
            self.open = True
        elif command == COMMANDS["CS"] | COMMANDS["RAS"] | COMMANDS["WE"]:
            self.open = False
        elif command & COMMANDS["WRDATA"]:
            assert self.open and phase == 3
            for lane, (write, _, _) in enumerate(self.lanes):
                right = self.state[lane]["wdly_dq_bitslip"] == write
                for index in range(4):
                    word = self.registers[f"sdram_dfii_pi{index}_wrdata"] if right else NOISE
                    self.burst[index] = (self.burst[index] & ~LANE_BITS[lane]) | (word & LANE_BITS[lane])
        elif command & COMMANDS["RDDATA"]:
            assert self.open and phase == 2
            for index in range(4):
                word = 0
                for lane, (_, read, delays) in enumerate(self.lanes):
                    state = self.state[lane]
                    right = state["rdly_dq_bitslip"] == read and state["rdly_dq_inc"] in delays
                    word |= (self.burst[index] if right else ~NOISE) & LANE_BITS[lane]
                self.registers[f"sdram_dfii_pi{index}_rddata"] = word & 0xFFFFFFFF


def test_leveling_finds_each_lane_s_window():
    constants = generate(ARTY_A7).initialisation
    phy = Phy(constants, [(2, 5, range(3, 14)), (4, 0, range(20, 32))])
    waited: list[float] = []
    lanes = bring_up(phy, constants, waited.append)
    assert lanes == (Lane(2, 5, 8, 11), Lane(4, 0, 26, 12))
    for state, lane in zip(phy.state, lanes, strict=True):
        assert state == {
            "wdly_dq_bitslip": lane.write_bitslip,
            "rdly_dq_bitslip": lane.read_bitslip,
            "rdly_dq_inc": lane.delay,
        }
    assert phy.registers["sdram_dfii_control"] == CONTROL["SEL"]
    assert phy.log[-1] == ("ddrctrl_init_done", 1) and phy.registers["ddrctrl_init_error"] == 0
    assert waited[0] == pytest.approx(500e-6)  # what the standard asks between reset and clock enable


@pytest.mark.parametrize("delays", [range(0), range(8, 8 + LEAST_WINDOW - 1)], ids=["nothing", "too narrow"])
def test_a_dead_lane_is_an_error(delays: range):
    constants = generate(ARTY_A7).initialisation
    phy = Phy(constants, [(0, 0, range(32)), (0, 0, delays)])
    with pytest.raises(DramError, match=r"byte lane 1 of the memory returned nothing right"):
        bring_up(phy, constants, lambda seconds: None)
    assert phy.registers["ddrctrl_init_error"] == 1 and phy.registers["ddrctrl_init_done"] == 0


class EmulatedControl:
    """LiteDRAM's real registers in the emulated design: Wishbone cycles, one clock cycle at a time."""

    def __init__(self, board: Emulation) -> None:
        self.board = board

    def _access(self, address: int, value: int | None) -> int:
        board = self.board
        board.set_input("control__adr", address // 4)
        board.set_input("control__dat_w", value or 0)
        board.set_input("control__we", value is not None)
        for name in ("control__cyc", "control__stb"):
            board.set_input(name, 1)
        for _ in range(20):
            board.run(1)
            if board.output("control__ack"):
                break
        else:
            raise AssertionError(f"no answer from register {address:#x}")
        answer = board.output("control__dat_r")
        for name in ("control__cyc", "control__stb"):
            board.set_input(name, 0)
        board.run(3)
        return answer

    def control_read(self, address: int) -> int:
        return self._access(address, None)

    def control_write(self, address: int, value: int) -> None:
        self._access(address, value)


def test_litedram_s_own_controller(rng):
    """The machine copies through the controller before and after its memory is brought up over the control port."""
    constants = generate(ULX3S, simulation=True).initialisation
    data = rng.bytes(16 * 40)
    with Emulation(Copier(), 1 << 20, "litedram:ulx3s_85f") as board:
        assert not board.output("ready")
        quick = dataclasses.replace(
            constants, sequence=tuple(dataclasses.replace(s, wait=0) for s in constants.sequence)
        )
        bring_up(EmulatedControl(board), quick, lambda seconds: None)
        assert board.output("ready")
        board.write_memory(16, data)
        board.write_memory(3, b"".join(word.to_bytes(4, "little") for word in (16, 1000, 40, 0xFFFF)))
        board.start(3)
        board.run(100_000)
        assert board.read_memory(1000, len(data)) == data
        statistics = board.memory_statistics
        assert (statistics.beats_read, statistics.beats_written) == (41, 40)
