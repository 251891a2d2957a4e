"""LiteDRAM's controller as an Amaranth component."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import ClockSignal, Const, Instance, IOValue, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from gateware.link.control_port import ControlPort
from gateware.memory.port import MemoryPort
from hw.dram.generate import Core
from hw.dram.native import NativeAdapter
from hw.dram.settings import MACHINE_PORT, DramError

__all__ = ["LiteDram"]


class LiteDram(wiring.Component):
    """The controller with its PHY, or with its memory model, in the domain ``sync``.

    `core.verilog` must be given to whatever reads this component's Verilog. With a PHY the controller makes its own
    clock and reset, `user_clk` and `user_rst`: they are to drive the domain ``sync``. With the model it runs from
    ``sync`` itself.

    Parameters
    ----------
    core : Core
        Of `hw.dram.generate`.
    address_bits : int
        Bits of the machine's beat addresses; at most those of the memory.
    pads : mapping
        Port of the core to the board's pins, for a PHY.

    Members
    -------
    memory : In(MemoryPort)
    control : In(ControlPort)
    ready : Out(1)
        The memory is initialised, as the control port's master said. Until then the port accepts nothing.
    error : Out(1)
        It could not be, as the master said.
    quiet : Out(1)
        The controller has taken the words of all writes.

    Attributes
    ----------
    clock_in, reset_in : Signal
        Input clock of a PHY's PLL (or of the controller), and its reset.
    user_clk, user_rst, pll_locked : Signal
        The controller's clock, its reset, and its PLL's state.
    user_clk_fast : Signal
        With `DramSettings.fast_clock` and a PHY: twice ``user_clk``, each edge of that one of its own.

    Raises
    ------
    DramError
        For more address bits than the memory has.
    """

    def __init__(self, core: Core, address_bits: int, pads: Mapping[str, IOValue] | None = None) -> None:
        least = core.settings.beat_address_bits
        if not 1 <= address_bits <= least:
            raise DramError(
                f"{core.settings.name} has beat addresses of {least} bits, and the machine's are of {address_bits}; "
                f"choose address_bits of at most {least}."
            )
        if not core.simulation and not pads:
            raise DramError(f"{core.settings.name}: a controller with a PHY needs pads; request them from the board.")
        self.core, self.address_bits, self.pads = core, address_bits, dict(pads or {})
        self.clock_in, self.reset_in = Signal(name="clock_in"), Signal(name="reset_in")
        # By these names reports of place and route call them.
        self.user_clk, self.user_rst = Signal(name="user_clk"), Signal(name="user_rst")
        self.pll_locked, self.user_clk_fast = Signal(name="pll_locked"), Signal(name="user_clk_fast")
        super().__init__(
            {
                "memory": In(MemoryPort(address_bits)),
                "control": In(ControlPort()),
                "ready": Out(1),
                "error": Out(1),
                "quiet": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.adapter = adapter = NativeAdapter(self.core.settings.native_bits, self.address_bits)
        connect(m, wiring.flipped(self.memory), adapter.memory)
        ports = self._port(m, adapter.native)
        done, failed = Signal(), Signal()
        m.d.comb += [self.ready.eq(done & ~failed), self.error.eq(failed), self.quiet.eq(adapter.quiet)]
        ports |= {"o_init_done": done, "o_init_error": failed}
        ports |= self._control()
        if self.core.simulation:
            ports |= {"i_clk": ClockSignal(), "i_sim_trace": Const(0)}
        else:
            ports |= {"i_clk": self.clock_in, "i_rst": self.reset_in}
            ports |= {"o_user_clk": self.user_clk, "o_user_rst": self.user_rst}
            if self.core.settings.kind != "SDR":
                ports["o_pll_locked"] = self.pll_locked
            if self.core.settings.fast_clock:
                ports["o_user_clk_fast"] = self.user_clk_fast
            directions = {"dq": "io", "dqs_p": "io", "dqs_n": "io"}
            for name, pad in self.pads.items():
                ports[f"{directions.get(name.split('_', 1)[1], 'o')}_{name}"] = pad
        m.submodules.core = Instance(self.core.module, **ports)
        return m

    def _port(self, m: Module, native: wiring.PureInterface) -> dict[str, object]:
        """The native port, its address filled up to the memory's."""
        address = Signal(self.core.settings.native_address_bits)
        m.d.comb += address.eq(native.cmd_addr)
        ports: dict[str, object] = {}
        for name, member in native.signature.members.items():
            value = address if name == "cmd_addr" else getattr(native, name)
            ports[f"{'i' if member.flow == Out else 'o'}_user_port_{MACHINE_PORT}_{name}"] = value
        return ports

    def _control(self) -> dict[str, object]:
        """The control port: classic cycles, all four bytes."""
        ports: dict[str, object] = {
            f"{'i' if member.flow == Out else 'o'}_wb_ctrl_{name}": getattr(self.control, name)
            for name, member in ControlPort().members.items()
        }
        return ports | {"i_wb_ctrl_sel": Const(0b1111, 4), "i_wb_ctrl_cti": Const(0, 3), "i_wb_ctrl_bte": Const(0, 2)}
