"""The tool itself: mutants are made and told apart, and a proof of equivalence never holds for one that was killed."""

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sim.cocotb.runner import BenchFailure
from tests.mutation.campaign import Outcome, run_unit
from tests.mutation.equivalence import prove_equivalent
from tests.mutation.page import coverage, record, table
from tests.mutation.units import Trial, Unit

BENCH = "tests.mutation.bench_counter"


class Counter(wiring.Component):
    """Counts from 0 to 5 and begins anew. ``never`` is high at 7, which is not reached."""

    enable: In(1)
    count: Out(3)
    never: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        last = Signal()
        m.d.comb += [last.eq(self.count == 5), self.never.eq(self.count == 7)]
        with m.If(self.enable):
            m.d.sync += self.count.eq(self.count + 1)
            with m.If(last):
                m.d.sync += self.count.eq(0)
        return m


def unit(test: str) -> Unit:
    return Unit("counter", Counter, (Trial(BENCH, test),))


def test_a_good_bench_kills_and_a_poor_one_does_not():
    netlist, outcomes = run_unit(unit("counts"), 40, seed=1)
    _, poor = run_unit(unit("looks_once"), 40, seed=1)
    killed = [outcome for outcome in outcomes if outcome.killed]
    assert len(outcomes) == 40 and len(killed) > 25
    assert sum(outcome.killed for outcome in poor) < len(killed)

    survivors = [outcome for outcome in outcomes if not outcome.killed]
    proofs = {outcome.mutant.number: prove_equivalent(netlist, outcome.mutant) for outcome in survivors}
    assert all(proofs.values()), "what this bench lets pass is equivalent"
    for outcome in killed[:4]:
        assert prove_equivalent(netlist, outcome.mutant) == ""

    results: dict = {}
    record(results, "counter", 1, outcomes, proofs)
    assert coverage(results["counter"]) == 100
    assert f"| counter | 40 | {len(killed)} | {len(survivors)} | 0 | 0 | 0 | 100.0 % | 100.0 % |" in table(results)


def test_a_bench_that_fails_on_the_unit_is_told():
    with pytest.raises(BenchFailure, match="fails_always on the unchanged unit failed: AssertionError: always"):
        run_unit(unit("fails_always"), 40, seed=1)


def test_what_was_said_of_a_survivor_stays():
    _, outcomes = run_unit(unit("counts"), 40, seed=1)
    mutant = outcomes[0].mutant
    results = {"counter": {"survivors": [{"mutant": mutant.change, "why": "it may", "equal": True}]}}
    record(results, "counter", 1, [Outcome(mutant, "", ""), Outcome(outcomes[1].mutant, "", "")], {})
    assert [(one["why"], one["equal"]) for one in results["counter"]["survivors"]] == [("it may", True), ("", False)]
    assert (coverage(results["counter"]), coverage(results["counter"], True)) == (0, 0)
    record(results, "counter", 1, [Outcome(mutant, "", ""), Outcome(outcomes[1].mutant, "counts", "failed")], {})
    assert (coverage(results["counter"]), coverage(results["counter"], True)) == (50, 100)
