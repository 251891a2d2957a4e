"""LiteDRAM's generator with one clock more out of its PLL: `user_clk_fast`, twice the controller's, with aligned edges.

A script that takes what `python -m litedram.gen` takes, for a memory of an xc7.
"""

from __future__ import annotations

from typing import Any

from litedram import gen
from litex.build.generic_platform import Pins
from migen import ClockDomain

__all__ = ["PORT", "main"]

PORT = "user_clk_fast"


class FastClock(gen.LiteDRAMS7DDRPHYCRG):
    """The controller's clocks, and one of twice its frequency from the same PLL, through a global buffer as they."""

    def __init__(self, platform: Any, core_config: dict[str, Any]) -> None:
        super().__init__(platform, core_config)
        self.cd_fast = ClockDomain(reset_less=True)
        self.pll.create_clkout(self.cd_fast, 2 * core_config["sys_clk_freq"])
        self.comb += platform.request(PORT).eq(self.cd_fast.clk)


def main() -> None:
    """The generator's command."""
    common = gen.get_common_ios
    gen.get_common_ios = lambda: [*common(), (PORT, 0, Pins(1))]
    gen.LiteDRAMS7DDRPHYCRG = FastClock
    gen.main()


if __name__ == "__main__":
    main()
