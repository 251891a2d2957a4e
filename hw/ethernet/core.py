"""LiteEth's core as an Amaranth component, with the link's datagrams on one side and a PHY's MII on the other."""

from __future__ import annotations

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.link.datagram_port import DatagramPort
from gateware.link.datagrams import HOST_BITS, PORT_BITS
from hw.ethernet.generate import Core

__all__ = ["LiteEth", "MiiPort"]

ADDRESS_BITS = 32
EVERYBODY = (1 << HOST_BITS) - 1


class MiiPort(wiring.Signature):
    """A PHY's pins as the core sees them.

    Members
    -------
    rx_clk : In(1), rx_dv : In(1), rx_data : In(4)
    tx_clk : In(1), tx_en : Out(1), tx_data : Out(4)
        Both clocks are the PHY's: 25 MHz at 100 Mbit a second, 2.5 MHz at 10.
    reset : Out(1)
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "rx_clk": In(1),
                "rx_dv": In(1),
                "rx_data": In(4),
                "tx_clk": In(1),
                "tx_en": Out(1),
                "tx_data": Out(4),
                "reset": Out(1),
            }
        )


class LiteEth(wiring.Component):
    """ARP, ping and UDP; only datagrams of the own network pass, answers to it are sent.

    `core.verilog` must be given to whatever reads this component's Verilog. A peer is a port and the last byte of an
    address of the own network; datagrams from other networks, from everybody and from the own address are dropped.

    Parameters
    ----------
    core : Core
        Of `hw.ethernet.generate`.

    Members
    -------
    datagrams : In(DatagramPort)
    mii : Out(MiiPort)
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        super().__init__({"datagrams": In(DatagramPort()), "mii": Out(MiiPort())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ip = self.core.settings.ip_number
        network, own = ip >> HOST_BITS, ip % (1 << HOST_BITS)
        datagrams, mii = self.datagrams, self.mii
        address, port = Signal(ADDRESS_BITS), Signal(PORT_BITS)
        valid, ready, welcome, out_of_reset = Signal(), Signal(), Signal(), Signal()
        host = address[:HOST_BITS]
        m.d.comb += [
            welcome.eq((address[HOST_BITS:] == network) & (host != 0) & (host != EVERYBODY) & (host != own)),
            datagrams.rx.valid.eq(valid & welcome),
            ready.eq(datagrams.rx.ready | ~welcome),
            datagrams.sender.eq(Cat(port, host)),
            mii.reset.eq(~out_of_reset),
        ]
        receiver = datagrams.receiver
        m.submodules.core = Instance(
            self.core.module,
            i_sys_clock=ClockSignal(),
            i_sys_reset=ResetSignal(),
            i_mii_clocks_rx=mii.rx_clk,
            i_mii_clocks_tx=mii.tx_clk,
            o_mii_rst_n=out_of_reset,
            i_mii_rx_dv=mii.rx_dv,
            i_mii_rx_data=mii.rx_data,
            o_mii_tx_en=mii.tx_en,
            o_mii_tx_data=mii.tx_data,
            o_received_ip_address=address,
            o_received_port=port,
            o_received_data=datagrams.rx.payload.byte,
            o_received_last=datagrams.rx.payload.last,
            o_received_valid=valid,
            i_received_ready=ready,
            i_sent_ip_address=Cat(receiver[PORT_BITS:], Const(network, ADDRESS_BITS - HOST_BITS)),
            i_sent_port=receiver[:PORT_BITS],
            i_sent_length=datagrams.length,
            i_sent_data=datagrams.tx.payload.byte,
            i_sent_last=datagrams.tx.payload.last,
            i_sent_valid=datagrams.tx.valid,
            o_sent_ready=datagrams.tx.ready,
        )
        return m
