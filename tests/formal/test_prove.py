"""The proof runner itself: what holds is proven, what does not is found, and a proof of nothing is none."""

import pytest
from amaranth.hdl import Assert, Assume, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from tests.formal import prove as runner
from tests.formal.prove import ProofError, ProofFailed, any_constant, prove, refute


class Counter(wiring.Component):
    """Counts to `top` and starts anew; the claim is that it stays at or below `claim`."""

    enable: In(1)
    seen: In(3)

    def __init__(self, claim: int | None, *, contradiction: bool = False) -> None:
        self.claim, self.contradiction = claim, contradiction
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = Signal(3)
        with m.If(self.enable):
            m.d.sync += count.eq(count + 1)
            with m.If(count == 5):
                m.d.sync += count.eq(0)
        if self.claim is not None:
            m.d.comb += Assert(count <= self.claim)
        if self.contradiction:
            m.d.comb += [Assume(self.enable), Assume(~self.enable)]
        return m


class Constant(wiring.Component):
    """A constant is the same as a cycle ago, an input need not be."""

    free: In(4)

    def __init__(self, constant: bool) -> None:
        self.constant = constant
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        value = any_constant(m, 4, self.free) if self.constant else self.free
        before, second = Signal(4, reset_less=True), Signal(reset_less=True)
        m.d.sync += [before.eq(value), second.eq(1)]
        with m.If(second):
            m.d.comb += Assert(value == before)
        return m


def test_true_is_proven():
    prove(Counter(5), 3, "prove")
    prove(Counter(5), 9)


def test_false_is_found_with_a_trace():
    with pytest.raises(ProofFailed, match="an assertion fails, see .*vcd") as failure:
        prove(Counter(4), 9)
    assert failure.value.trace is not None and failure.value.trace.exists()
    assert refute(Counter(4), 9).exists()


def test_no_failure_is_no_refutation():
    with pytest.raises(ProofFailed, match="no assertion fails within 9 cycles"):
        refute(Counter(5), 9)


def test_proofs_of_nothing():
    with pytest.raises(ProofError, match="there is no assertion"):
        prove(Counter(None), 3)
    with pytest.raises(ProofError, match="no answer"):
        prove(Counter(4, contradiction=True), 9)


def test_induction_too_short_is_no_answer():
    # From 6, which is never reached, one step leads to 7.
    with pytest.raises(ProofError, match="no answer"):
        prove(Counter(6), 3, "prove")


def test_a_constant_stays():
    prove(Constant(True), 4)
    refute(Constant(False), 4)


def test_results_are_kept(monkeypatch: pytest.MonkeyPatch):
    prove(Counter(5), 9)
    monkeypatch.setattr(runner, "_solve", lambda *_: pytest.fail("solved anew"))
    prove(Counter(5), 9)
