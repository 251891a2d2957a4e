"""Clocks that a board's oscillator and an ECP5's PLL make."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Ecp5Pll", "PllSettings", "pll_settings"]

VCO_MHZ = (400.0, 800.0)
COMPARED_MHZ = (3.125, 400.0)
DIVIDERS = range(1, 129)


@dataclass(frozen=True)
class PllSettings:
    """Dividers of an EHXPLLL: input, feedback and output; ``mhz`` is what comes out."""

    clki_div: int
    clkfb_div: int
    clkop_div: int
    mhz: float


def pll_settings(input_mhz: float, output_mhz: float) -> PllSettings:
    """Dividers for a clock: the nearest that there is, at most 0.1 % off.

    Raises ValueError when there is none.
    """
    best: PllSettings | None = None
    for clki_div in DIVIDERS:
        compared = input_mhz / clki_div
        if not COMPARED_MHZ[0] <= compared <= COMPARED_MHZ[1]:
            continue
        for clkfb_div in range(1, 81):
            mhz = compared * clkfb_div
            # Feedback is taken from the output, so the VCO runs at the output's clock times its divider. The fastest
            # is the least noisy.
            fitting = [div for div in DIVIDERS if VCO_MHZ[0] <= mhz * div <= VCO_MHZ[1]]
            if fitting and (best is None or abs(mhz - output_mhz) < abs(best.mhz - output_mhz)):
                best = PllSettings(clki_div, clkfb_div, fitting[-1], mhz)
    if best is None or abs(best.mhz - output_mhz) > 1e-3 * output_mhz:
        nearest = "none" if best is None else f"{best.mhz:g} MHz"
        raise ValueError(
            f"an ECP5's PLL cannot make {output_mhz:g} MHz from {input_mhz:g} MHz; choose the nearest, {nearest}."
        )
    return best


class Ecp5Pll(wiring.Component):
    """One clock, and the same shifted by 90 degrees.

    Parameters
    ----------
    input_mhz, output_mhz : float

    Members
    -------
    clock_in : In(1)
    reset : In(1)
    clock, shifted : Out(1)
    locked : Out(1)
        The clocks are as they should be; until then nothing may use them.
    """

    def __init__(self, input_mhz: float, output_mhz: float) -> None:
        self.input_mhz = input_mhz
        self.settings = pll_settings(input_mhz, output_mhz)
        super().__init__({"clock_in": In(1), "reset": In(1), "clock": Out(1), "shifted": Out(1), "locked": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        s = self.settings
        # Phases are in eighths of the VCO's period, from the first edge: a divider's length less one is no shift.
        quarter = 2 * s.clkop_div
        m.submodules.pll = Instance(
            "EHXPLLL",
            ("a", "FREQUENCY_PIN_CLKI", f"{self.input_mhz:g}"),
            ("a", "FREQUENCY_PIN_CLKOP", f"{s.mhz:g}"),
            ("a", "FREQUENCY_PIN_CLKOS", f"{s.mhz:g}"),
            ("a", "ICP_CURRENT", "12"),
            ("a", "LPF_RESISTOR", "8"),
            p_PLLRST_ENA="ENABLED",
            p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED",
            p_FEEDBK_PATH="CLKOP",
            p_CLKI_DIV=s.clki_div,
            p_CLKFB_DIV=s.clkfb_div,
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=s.clkop_div,
            p_CLKOP_CPHASE=s.clkop_div - 1,
            p_CLKOP_FPHASE=0,
            p_CLKOS_ENABLE="ENABLED",
            p_CLKOS_DIV=s.clkop_div,
            p_CLKOS_CPHASE=s.clkop_div - 1 + quarter // 8,
            p_CLKOS_FPHASE=quarter % 8,
            i_CLKI=self.clock_in,
            i_CLKFB=self.clock,
            i_RST=self.reset,
            i_STDBY=Signal(),
            i_ENCLKOP=Signal(),
            i_ENCLKOS=Signal(),
            i_PHASESEL0=Signal(),
            i_PHASESEL1=Signal(),
            i_PHASEDIR=Signal(),
            i_PHASESTEP=Signal(),
            i_PHASELOADREG=Signal(),
            i_PLLWAKESYNC=Signal(),
            o_CLKOP=self.clock,
            o_CLKOS=self.shifted,
            o_LOCK=self.locked,
        )
        return m
