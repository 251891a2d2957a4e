"""Bringing a DRAM up: against a model of a PHY with known delays, and over the control port of LiteDRAM itself."""

import dataclasses
from collections.abc import Sequence

import pytest

from firmware.dram.initialisation import CONTROL
from host.dram.leveling import LEAST_WINDOW, Eye, Lane, LevelingError, bring_up
from hw.dram.generate import generate
from hw.dram.settings import ARTY_A7, ULX3S
from sim.emulator.emulation import Emulation
from tests.host.dram.phy_model import Phy
from tests.sim.emulator.emulator_copier import Copier


def test_leveling_finds_each_lane_s_window():
    constants = generate(ARTY_A7).initialisation
    phy = Phy(constants, [(2, 5, range(3, 14)), (4, 0, range(20, 32))])
    waited: list[float] = []
    eyes: list[Eye] = []
    lanes = bring_up(phy, constants, waited.append, eyes.append)
    assert lanes == (Lane(2, 5, 8, 11), Lane(4, 0, 26, 12))
    for state, lane in zip(phy.state, lanes, strict=True):
        assert state == {
            "wdly_dq_bitslip": lane.write_bitslip,
            "rdly_dq_bitslip": lane.read_bitslip,
            "rdly_dq_inc": lane.delay,
        }
    assert phy.registers["sdram_dfii_control"] == CONTROL["SEL"]
    assert phy.log[-1] == ("ddrctrl_init_done", 1) and phy.registers["ddrctrl_init_error"] == 0
    finest = {(eye.lane, eye.write_bitslip, eye.read_bitslip): eye for eye in eyes if any(eye.right)}
    assert finest == {
        (0, 2, 5): Eye(0, 2, 5, 1, tuple(delay in range(3, 14) for delay in range(32))),
        (1, 4, 0): Eye(1, 4, 0, 1, tuple(delay in range(20, 32) for delay in range(32))),
    }
    # What the standard asks for: so long the reset, and so long from its end to the clock's enable.
    assert waited[:2] == pytest.approx([200e-6, 500e-6])
    assert phy.log.index(("sdram_dfii_control", 0)) < phy.log.index(
        ("sdram_dfii_control", CONTROL["ODT"] | CONTROL["RESET_N"])
    )


@pytest.mark.parametrize(
    ("delays", "what"),
    [(range(0), "at none of 32 delays"), (range(8, 8 + LEAST_WINDOW - 1), "at no more than 3 delays in a row")],
    ids=["nothing", "too narrow"],
)
def test_a_dead_lane_is_an_error(delays: range, what: str):
    constants = generate(ARTY_A7).initialisation
    phy = Phy(constants, [(0, 0, range(32)), (0, 0, delays)])
    with pytest.raises(LevelingError, match=f"byte lane 1 of the memory returned what was written {what}"):
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

    def control_read_all(self, addresses: Sequence[int]) -> list[int]:
        return [self._access(address, None) for address in addresses]

    def control_write_all(self, writes: Sequence[tuple[int, int]]) -> None:
        for address, value in writes:
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
