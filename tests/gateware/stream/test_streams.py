"""The benches' own runner and stream helpers, on a component whose behaviour is known."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from sim.cocotb.runner import BenchFailure, run_bench
from sim.cocotb.streams import pack, unpack
from tests.simulators import needs_simulator

BENCH = "tests.gateware.stream.bench_fifo"
PAYLOAD = data.StructLayout({"low": 12, "high": data.ArrayLayout(5, 4)})


class Fifo(wiring.Component):
    """Sixteen words of 32 bits between two streams."""

    i: In(stream.Signature(32))
    o: Out(stream.Signature(32))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=32, depth=16)
        wiring.connect(m, wiring.flipped(self.i), fifo.w_stream)
        wiring.connect(m, fifo.r_stream, wiring.flipped(self.o))
        return m


@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_fifo(simulator: str, stall: float):
    needs_simulator(simulator)
    run_bench(
        Fifo(), "fifo", BENCH, testcase="everything_arrives_in_order", simulator=simulator, parameters={"stall": stall}
    )


def test_a_failing_bench_fails():
    with pytest.raises(BenchFailure, match="watchdog: the bench did not finish within 50 cycles"):
        run_bench(Fifo(), "fifo", BENCH, testcase="wrong_on_purpose", parameters={"stall": 0})


def test_unknown_simulator():
    with pytest.raises(ValueError, match="simulator must be one of verilator, icarus, not 'vcs'"):
        run_bench(Fifo(), "fifo", BENCH, simulator="vcs")


def test_payloads_pack_without_truncation():
    signed = data.ArrayLayout(data.StructLayout({"a": range(-4, 4), "b": 5}), 2)
    value = [{"a": -4, "b": 31}, {"a": 3, "b": 0}]
    assert unpack(signed, pack(signed, value)) == value
    assert pack(PAYLOAD, {"low": 0x123, "high": [1, 2, 3, 4]}) == 0x123 | (1 | 2 << 5 | 3 << 10 | 4 << 15) << 12
    with pytest.raises(OverflowError, match="truncated"):
        pack(PAYLOAD, {"low": 0x1000, "high": [0, 0, 0, 0]})
