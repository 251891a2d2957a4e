"""A model of a DDR3 PHY at its control registers: alignments and delays that the board, not the host, knows."""

from collections.abc import Sequence

from firmware.dram.initialisation import COMMANDS, CONTROL, Initialisation

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

    def control_read_all(self, addresses: Sequence[int]) -> list[int]:
        return [self.read(address) for address in addresses]

    def control_write_all(self, writes: Sequence[tuple[int, int]]) -> None:
        for address, value in writes:
            self.write(address, value)

    def read(self, address: int) -> int:
        return self.registers[self.names[address]]

    def write(self, address: int, value: int) -> None:
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
