"""Composes a UDP/IP core of LiteEth's parts and writes its Verilog; a process of its own, which `generate` starts.

python -m hw.ethernet.composition SETTINGS FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from liteeth.common import eth_icmp_user_description, icmp_protocol
from liteeth.core import LiteEthUDPIPCore, arp
from liteeth.core.icmp import LiteEthICMPEcho, LiteEthICMPRX, LiteEthICMPTX
from liteeth.phy.mii import LiteEthPHYMII
from litex.build.generic_platform import Pins, Subsignal
from litex.build.xilinx.platform import XilinxPlatform
from litex.gen import LiteXModule
from litex.gen.genlib.misc import WaitTimer
from litex.soc.interconnect import stream
from migen import FSM, ClockDomain, If, NextState, NextValue, Signal

BYTE, PORT, ADDRESS, HARDWARE, LENGTH = 8, 16, 32, 48, 16  # bits
EVERYBODY, NETWORK_HOSTS = 0xFFFFFFFF, 0xFF
ECHO_BYTES = 128  # of a ping's content that is sent back
CROSSING = 32  # bytes of each FIFO between the machine's clock and one of the PHY's


def _pins() -> list[Any]:
    def datagrams(name: str, *more: tuple[str, int]) -> Any:
        fields = (("ip_address", ADDRESS), ("port", PORT), ("data", BYTE), *more)
        flags = (("valid", 1), ("ready", 1), ("last", 1))
        return (name, 0, *(Subsignal(field, Pins(bits)) for field, bits in (*fields, *flags)))

    return [
        ("sys_clock", 0, Pins(1)),
        ("sys_reset", 0, Pins(1)),
        ("mii_clocks", 0, Subsignal("tx", Pins(1)), Subsignal("rx", Pins(1))),
        (
            "mii",
            0,
            Subsignal("rst_n", Pins(1)),
            Subsignal("rx_dv", Pins(1)),
            Subsignal("rx_data", Pins(4)),
            Subsignal("tx_en", Pins(1)),
            Subsignal("tx_data", Pins(4)),
        ),
        datagrams("received"),
        datagrams("sent", ("length", LENGTH)),
    ]


class Neighbour(LiteXModule):
    """The hardware address of one host, for a second, in place of LiteEth's own cache.

    That keeps two, and answers a question for the second one with the address of the first: when two hosts talk to
    the board, one gets the other's answers.
    """

    def __init__(self, entries: int, clk_freq: int) -> None:
        addresses = [("ip_address", ADDRESS), ("mac_address", HARDWARE)]
        self.update, self.request = stream.Endpoint(addresses), stream.Endpoint(addresses[:1])
        self.response = stream.Endpoint([*addresses[1:], ("error", 1)])
        known, ip, mac = Signal(), Signal(ADDRESS), Signal(HARDWARE)
        self.timer = timer = WaitTimer(clk_freq)
        self.comb += [
            timer.wait.eq(~timer.done),
            self.update.ready.eq(1),
            self.request.ready.eq(1),
            self.response.valid.eq(self.request.valid),
            self.response.error.eq(~known | (ip != self.request.ip_address)),
            self.response.mac_address.eq(mac),
        ]
        self.sync += [
            If(timer.done, known.eq(0)),
            If(self.update.valid, known.eq(1), ip.eq(self.update.ip_address), mac.eq(self.update.mac_address)),
        ]


class Guard(LiteXModule):
    """Lets a ping through to the echo if there is room for all of it, and no more bytes than it says it has.

    The echo keeps a whole packet before it answers: one that is longer than it says would fill it, and everything
    behind it would wait for ever. A ping that comes while the one before is being answered is dropped.
    """

    def __init__(self, busy: Any) -> None:
        self.sink = sink = stream.Endpoint(eth_icmp_user_description(BYTE))
        self.source = source = stream.Endpoint(eth_icmp_user_description(BYTE))
        count = Signal(LENGTH)
        end = Signal()
        self.comb += [
            sink.connect(source, omit={"valid", "ready", "last"}),
            end.eq(sink.last | (count == sink.length)),
            source.last.eq(end),
        ]
        self.fsm = fsm = FSM(reset_state="IDLE")
        fsm.act(
            "IDLE",
            NextValue(count, 1),
            If(
                sink.valid,
                NextState("DROP"),
                If((sink.length != 0) & (sink.length <= ECHO_BYTES) & ~busy, NextState("PASS")),
            ),
        )
        fsm.act(
            "PASS",
            source.valid.eq(sink.valid),
            sink.ready.eq(source.ready),
            If(
                sink.valid & sink.ready,
                NextValue(count, count + 1),
                If(sink.last, NextState("IDLE")).Elif(end, NextState("DROP")),
            ),
        )
        fsm.act("DROP", sink.ready.eq(1), If(sink.valid & sink.last, NextState("IDLE")))


class Core(LiteXModule):
    """PHY, MAC, ARP, IP with ping, and UDP with one port.

    `received` and `sent` are datagrams of that port: the other side's address and port beside each byte, and for one
    to send the number of its bytes, all steady from a datagram's first byte to its last.
    """

    def __init__(self, platform: Any, settings: dict[str, Any]) -> None:
        self.cd_sys = ClockDomain()
        self.comb += [
            self.cd_sys.clk.eq(platform.request("sys_clock")),
            self.cd_sys.rst.eq(platform.request("sys_reset")),
        ]
        self.phy = LiteEthPHYMII(platform.request("mii_clocks"), platform.request("mii"))
        broadcast = Signal()
        self.core = core = LiteEthUDPIPCore(
            self.phy,
            mac_address=settings["mac"],
            ip_address=settings["ip"],
            clk_freq=settings["clock_hz"],
            dw=BYTE,
            with_icmp=False,
            with_ip_broadcast=broadcast,
            tx_cdc_depth=CROSSING,
            rx_cdc_depth=CROSSING,
        )
        to = core.ip.rx.depacketizer.source.target_ip
        self.comb += broadcast.eq((to == EVERYBODY) | (to == settings["ip"] | NETWORK_HOSTS))
        self._ping(settings["ip"])
        self._datagrams(platform, settings["port"])

    def _ping(self, ip: int) -> None:
        self.icmp_rx, self.icmp_tx = LiteEthICMPRX(ip, BYTE), LiteEthICMPTX(ip, BYTE)
        self.echo = LiteEthICMPEcho(BYTE, ECHO_BYTES)
        self.guard = Guard(self.echo.source.valid)
        port = self.core.ip.crossbar.get_port(icmp_protocol, BYTE)
        self.comb += [
            port.source.connect(self.icmp_rx.sink),
            self.icmp_rx.source.connect(self.guard.sink),
            self.guard.source.connect(self.echo.sink),
            self.echo.source.connect(self.icmp_tx.sink),
            self.icmp_tx.source.connect(port.sink),
        ]

    def _datagrams(self, platform: Any, own_port: int) -> None:
        port = self.core.udp.crossbar.get_port(own_port, dw=BYTE)
        received, sent = platform.request("received"), platform.request("sent")
        self.comb += [
            received.ip_address.eq(port.source.ip_address),
            received.port.eq(port.source.src_port),
            received.data.eq(port.source.data),
            received.valid.eq(port.source.valid),
            received.last.eq(port.source.last),
            port.source.ready.eq(received.ready),
            port.sink.ip_address.eq(sent.ip_address),
            port.sink.dst_port.eq(sent.port),
            port.sink.src_port.eq(own_port),
            port.sink.length.eq(sent.length),
            port.sink.data.eq(sent.data),
            port.sink.valid.eq(sent.valid),
            port.sink.last.eq(sent.last),
            port.sink.last_be.eq(sent.last),
            sent.ready.eq(port.sink.ready),
        ]


def main(arguments: list[str]) -> int:
    """Writes `NAME.v` into the folder; the settings are a JSON file with name, mac, ip, port and clock_hz."""
    settings = json.loads(Path(arguments[0]).read_text())
    arp.LiteEthARPCache = Neighbour
    platform = XilinxPlatform("", io=[], toolchain="vivado")
    platform.add_extension(_pins())
    text = str(platform.get_verilog(Core(platform, settings), name=settings["name"]))
    (Path(arguments[1]) / f"{settings['name']}.v").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
