"""Which DRAM each board has, and how LiteDRAM's controller is made for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateware.config import config
from sim.reference.errors import UserError

__all__ = ["ARTY_A7", "MACHINE_PORT", "SETTINGS", "ULX3S", "DramError", "DramSettings", "settings"]

MACHINE_PORT = "machine"  # the controller's one user port, `user_port_machine_...` in its Verilog


class DramError(UserError):
    """What is wrong with a controller, the value, and what to do, in one sentence."""


@dataclass(frozen=True)
class DramSettings:
    """A DRAM, its PHY and its clocks.

    Parameters
    ----------
    name : as in messages
    device : FPGA part, as the generator wants it
    kind : generation of the memory: SDR or DDR3
    chip : LiteDRAM's name of the memory chip
    lanes : bytes of the memory's data bus
    phy : LiteDRAM's name of the PHY
    memory_mhz : clock of the controller and of its native port
    input_mhz : clock that enters the controller's own PLL; the controller's clock itself where it has none
    clocks : MHz that its PLL makes from that, the fastest first; empty where it has none, and any clock will do
    native_bits : bits of the native port: one beat, or a power of two of them make one
    rows, banks, columns : organisation of the chip, each a power of two
    bursts : columns that one native word takes
    options : what else the generator is told
    fast_clock : its PLL also makes a clock of twice the controller's, with aligned edges
    """

    name: str
    device: str
    kind: str
    chip: str
    lanes: int
    phy: str
    memory_mhz: float
    input_mhz: float
    native_bits: int
    rows: int
    banks: int
    columns: int
    bursts: int
    clocks: tuple[float, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    fast_clock: bool = False

    def __post_init__(self) -> None:
        if self.fast_clock and not self.clocks:
            raise DramError(
                f"{self.name}: its controller has no PLL of its own, which would make a second clock; choose pump=1."
            )
        if self.native_bits not in (16, 32, 64, 128):
            raise DramError(f"{self.name}: native_bits must be 16, 32, 64 or 128, not {self.native_bits}.")
        if self.native_bits != self.lanes * 8 * self.bursts:
            raise DramError(
                f"{self.name}: native_bits must be lanes * 8 * bursts = {self.lanes * 8 * self.bursts}, "
                f"not {self.native_bits}."
            )

    @property
    def words(self) -> int:
        """Native words of the whole memory."""
        return self.rows * self.banks * self.columns // self.bursts

    @property
    def bytes(self) -> int:
        """Size of the memory."""
        return self.words * self.native_bits // 8

    @property
    def native_address_bits(self) -> int:
        """Address bits of the native port."""
        return (self.words - 1).bit_length()

    @property
    def beat_address_bits(self) -> int:
        """Address bits of beats of 128 bits."""
        return (self.words * self.native_bits // 128 - 1).bit_length()

    def generator(self, simulation: bool = False) -> dict[str, object]:
        """What `litedram.gen` reads.

        `simulation`: the port answers without initialisation, for the memory model needs none.
        """
        return {
            "cpu": "None",
            "device": self.device,
            "memtype": self.kind,
            "sdram_module": self.chip,
            "sdram_module_nb": self.lanes,
            "sdram_rank_nb": 1,
            "sdram_phy": self.phy,
            "sys_clk_freq": self.memory_mhz * 1e6,
            "input_clk_freq": self.input_mhz * 1e6,
            **self.options,
            "user_ports": {MACHINE_PORT: {"type": "native", "block_until_ready": not simulation}},
        }

    def at(self, memory_mhz: float) -> DramSettings:
        """The same memory at another clock. Raises DramError for one that its PLL cannot make."""
        if not self.clocks:
            return dataclasses.replace(self, memory_mhz=memory_mhz, input_mhz=memory_mhz)
        nearest = min(self.clocks, key=lambda mhz: abs(mhz - memory_mhz))
        if abs(nearest - memory_mhz) > 0.01:
            raise DramError(
                f"{self.name}: the memory controller's clock, which is the machine's, must be one of "
                f"{', '.join(f'{mhz:.4g}' for mhz in self.clocks)} MHz, not {memory_mhz:g}."
            )
        return dataclasses.replace(self, memory_mhz=nearest)


# One PLL makes the controller's clock, four times that for the PHY, and 200 MHz (within 1 %) for its delay lines, from
# an oscillator between 800 and 1600 MHz. DDR3 with its DLL on ends at 300 MHz, a quarter of which is 75.
A7_CLOCKS = (100.0, 87.5, 250 / 3, 80.0, 75.0)

# 16-bit DDR3L-800, 256 MB. Termination and drive strength are those of the board's trace impedance; write leveling
# is impossible with this PHY (no output delays), so commands go out undelayed.
ARTY_A7 = DramSettings(
    name="arty_a7",
    device="xc7a35t",
    kind="DDR3",
    chip="MT41K128M16",
    lanes=2,
    phy="A7DDRPHY",
    memory_mhz=100.0,
    input_mhz=100.0,
    native_bits=128,
    rows=1 << 14,
    banks=8,
    columns=1 << 10,
    bursts=8,
    clocks=A7_CLOCKS,
    options={
        "speedgrade": -1,
        "iodelay_clk_freq": 200e6,
        "rtt_nom": "60ohm",
        "rtt_wr": "60ohm",
        "ron": "34ohm",
        "cmd_latency": 0,
    },
)

# 16-bit SDRAM, 32 MB: the smallest chip that ULX3S boards came with; larger ones work as this one.
ULX3S = DramSettings(
    name="ulx3s_85f",
    device="LFE5U-85F-6BG381C",
    kind="SDR",
    chip="MT48LC16M16",
    lanes=2,
    phy="GENSDRPHY",
    memory_mhz=config("ulx3s_85f").clock_mhz,
    input_mhz=config("ulx3s_85f").clock_mhz,
    native_bits=16,
    rows=1 << 13,
    banks=4,
    columns=1 << 9,
    bursts=1,
    options={"init_clk_freq": config("ulx3s_85f").clock_mhz * 1e6},
)

SETTINGS = {"arty_a7": ARTY_A7, "arty_a7_35": ARTY_A7, "arty_a7_100": ARTY_A7, "ulx3s_85f": ULX3S}


def settings(board: str) -> DramSettings:
    """The DRAM of a board. Raises DramError for a board without one."""
    if board not in SETTINGS:
        raise DramError(f"{board} has no DRAM controller here; choose one of {', '.join(SETTINGS)}.")
    return SETTINGS[board]
