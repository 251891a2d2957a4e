"""Memories that the emulated board can have: data sheet figures, and the controller's timing derived from them."""

import math
from dataclasses import dataclass, fields, replace

from gateware.config import config

__all__ = ["ARTY_A7", "IDEAL", "LITEDRAM", "PROFILES", "ULX3S", "Dram", "MemoryProfile"]

MOST_STALL = 1 << 12  # cycles; the watchdog of a machine waits longer
LIMITS = {
    "banks": (0, 16),
    "row_beats": (1, 1 << 16),
    "queue_depth": (1, 32),
    "read_latency": (1, 1000),
    "t_ccd": (1, 1000),
    "clock_num": (1, 1000),
    "clock_den": (1, 1000),
    "command_depth": (1, 1024),
    "data_depth": (1, 1024),
    "words_follow": (0, 1),
    "refresh_burst": (1, 64),
    **{f"{channel}_stall": (0, 1023) for channel in ("command", "word", "answer")},
    **{f"{channel}_stall_cycles": (1, MOST_STALL) for channel in ("command", "word", "answer")},
}


@dataclass(frozen=True)
class MemoryProfile:
    """Timing of the memory at the machine's port, in memory cycles unless it says otherwise.

    The same fields in the same order as `Timing` in native/dram_controller.h, after the name.

    Parameters
    ----------
    name : as in messages
    banks, row_beats : organisation: beats of 16 bytes a row of one bank, addresses in the order row, bank, column.
        No banks: one command a cycle, and only `read_latency` counts.
    queue_depth : commands that wait in a bank, 1 to 32
    read_latency : from the column command to the word at the port
    t_... : see the header
    read_time, write_time : cycles after which the other kind gets its turn
    crossing : cycles of a clock crossing, each way
    clock_num, clock_den : memory cycles a machine cycle
    command_depth, data_depth : commands and write words that are accepted ahead of the controller
    words_follow : 1 where a write word is accepted only after its command; else it may come first
    refresh_burst : refreshes one after the other, every `t_refi`
    seed : of the pauses
    command_stall, command_stall_cycles : chance in 1024, in each machine cycle, that the port accepts no command for a
        while; the longest such pause, in machine cycles
    word_stall, answer_stall, and their `_cycles` : the same for words to write, and for words that were read
    """

    name: str
    banks: int
    row_beats: int
    queue_depth: int
    read_latency: int
    t_rp: int = 0
    t_rcd: int = 0
    t_ras: int = 0
    t_rc: int = 0
    t_rrd: int = 0
    t_faw: int = 0
    t_ccd: int = 1
    t_wtp: int = 0
    t_wtr: int = 0
    t_rtw: int = 0
    t_refi: int = 0
    t_rfc: int = 0
    read_time: int = 32
    write_time: int = 16
    crossing: int = 0
    clock_num: int = 1
    clock_den: int = 1
    command_depth: int = 1
    data_depth: int = 16
    words_follow: int = 0
    refresh_burst: int = 1
    seed: int = 0
    command_stall: int = 0
    command_stall_cycles: int = 1
    word_stall: int = 0
    word_stall_cycles: int = 1
    answer_stall: int = 0
    answer_stall_cycles: int = 1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "name" and not 0 <= value < 1 << 31:
                raise ValueError(f"memory profile {self.name}: {field.name} must be 0 to 2**31 - 1, not {value}.")
        for name, (least, most) in LIMITS.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(
                    f"memory profile {self.name}: {name} must be {least} to {most}, not {getattr(self, name)}."
                )
        if self.t_refi and self.t_refi < self.least_interval:
            raise ValueError(
                f"memory profile {self.name}: t_refi must be 0 or at least {self.least_interval}, which leaves time "
                f"for transfers between refreshes, not {self.t_refi}."
            )

    @property
    def least_interval(self) -> int:
        """Cycles from a refresh to the next in which a row can surely be opened, used and closed between them."""
        row = self.t_rp + self.t_rcd + self.t_ras + self.t_rc + self.t_rrd + self.t_faw + self.t_ccd
        turn = self.t_wtp + self.t_wtr + self.t_rtw
        return 2 * self.refresh_burst * (self.t_rp + self.t_rfc + 4) + 4 * (row + turn + 4)

    def numbers(self) -> tuple[int, ...]:
        """Every field but the name, in order."""
        return tuple(getattr(self, field.name) for field in fields(self) if field.name != "name")

    def behind_crossing(self, machine_mhz: int, memory_mhz: int = 100, stages: int = 3) -> "MemoryProfile":
        """The same memory behind asynchronous FIFOs, for a machine with its own clock.

        `stages`: memory cycles each way, of the FIFO's memory and the synchroniser.
        """
        if not (0 < machine_mhz <= 1000 and 0 < memory_mhz <= 1000):
            raise ValueError(
                f"memory profile {self.name}: clocks must be 1 to 1000 MHz, not {machine_mhz} and {memory_mhz}."
            )
        common = math.gcd(machine_mhz, memory_mhz)
        return replace(
            self,
            name=f"{self.name} seen at {machine_mhz} MHz",
            crossing=self.crossing + stages,
            clock_num=memory_mhz // common,
            clock_den=machine_mhz // common,
            command_depth=max(self.command_depth, 16),
            data_depth=max(self.data_depth, 32),
        )


@dataclass(frozen=True)
class Dram:
    """A DRAM chip and its PHY: times in ns, `_ck` in clocks of the chip, which runs `phases` clocks a memory cycle."""

    banks: int
    row_bytes: int
    phases: int
    mhz: float
    t_rp: float
    t_rcd: float
    t_wr: float
    t_ras: float
    t_rrd: float
    t_faw: float
    t_wtr_ck: int
    t_wtr: float
    t_rfc: float
    t_refi: float
    cwl_ck: int
    phy_read_latency: int
    beat_cycles: int

    def cycles(self, nanoseconds: float, least_ck: int = 0, margin: bool = True) -> int:
        """Whole memory cycles; a command may go out in any phase, so all but one phase of a cycle are added."""
        period = 1000 / self.mhz
        slack = period * (1 - 1 / self.phases) if margin else 0
        return max(math.ceil((nanoseconds + slack) / period - 1e-9), math.ceil(least_ck / self.phases))

    def profile(self, name: str, queue_depth: int = 8) -> MemoryProfile:
        """How LiteDRAM's controller, with its default settings, drives this chip."""
        write_latency = math.ceil(self.cwl_ck / self.phases)
        t_rp, t_ras = self.cycles(self.t_rp), self.cycles(self.t_ras)
        return MemoryProfile(
            name=name,
            banks=self.banks,
            row_beats=self.row_bytes // 16,
            queue_depth=queue_depth,
            # The controller registers the command once on the way; a beat in several pieces is there with the last.
            read_latency=self.phy_read_latency + 1 + self.beat_cycles - 1,
            t_rp=t_rp,
            t_rcd=self.cycles(self.t_rcd),
            t_ras=t_ras,
            # tRC is the sum of the two in ns, without a second rounding.
            t_rc=self.cycles(self.t_rp + self.t_ras),
            t_rrd=self.cycles(self.t_rrd, 4 if self.phases == 4 else 1),
            t_faw=self.cycles(self.t_faw) if self.t_faw else 0,
            t_ccd=self.beat_cycles,
            t_wtp=write_latency + self.cycles(self.t_wr) + self.beat_cycles,
            t_wtr=write_latency + self.cycles(self.t_wtr, self.t_wtr_ck) + self.beat_cycles,
            t_rtw=self.phy_read_latency,
            t_refi=self.cycles(self.t_refi, margin=False),
            t_rfc=self.cycles(self.t_rfc, margin=False),
        )


# 16-bit DDR3-800 at 100 MHz, four phases: MT41K128M16. A beat is one burst of eight.
ARTY_A7 = Dram(
    banks=8,
    row_bytes=2048,
    phases=4,
    mhz=100,
    t_rp=13.75,
    t_rcd=13.75,
    t_wr=13.75,
    t_ras=35,
    t_rrd=10,
    t_faw=40,
    t_wtr_ck=4,
    t_wtr=7.5,
    t_rfc=320,
    t_refi=7812.5,
    cwl_ck=5,
    phy_read_latency=8,
    beat_cycles=1,
).profile("arty_a7")

# 16-bit SDRAM, one phase: 2 bytes a cycle, so a beat takes eight.
ULX3S = Dram(
    banks=4,
    row_bytes=1024,
    phases=1,
    mhz=config("ulx3s_85f").clock_mhz,
    t_rp=20,
    t_rcd=20,
    t_wr=15,
    t_ras=44,
    t_rrd=15,
    t_faw=0,
    t_wtr_ck=2,
    t_wtr=0,
    t_rfc=66,
    t_refi=7812.5,
    cwl_ck=0,
    phy_read_latency=4,
    beat_cycles=8,
).profile("ulx3s_85f")

# Every command at once: what the machine would do if memory never made it wait.
IDEAL = MemoryProfile(
    name="ideal", banks=0, row_beats=1, queue_depth=1, read_latency=8, command_depth=16, data_depth=16
)

PROFILES = {"arty_a7": ARTY_A7, "arty_a7_35": ARTY_A7, "arty_a7_100": ARTY_A7, "ulx3s_85f": ULX3S, "ideal": IDEAL}
# LiteDRAM's own controllers with its memory model, inside the emulated design: name -> board. Slower, and the truth.
LITEDRAM = {"litedram": "arty_a7", "litedram:arty_a7": "arty_a7", "litedram:ulx3s_85f": "ulx3s_85f"}
