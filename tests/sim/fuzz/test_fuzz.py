"""The short form of the fuzz, and what it does with a failure."""

import dataclasses
import json

import pytest

from sim.fuzz import runner
from sim.fuzz.case import Case, Cut, parse_case
from sim.fuzz.command import fuzz, main
from sim.fuzz.machines import choice
from sim.fuzz.plan import Plan
from sim.fuzz.runner import Prepared, prepared, run_case
from sim.watched import ContractViolation

FRAMES, SHAPES, MEMORIES = 360, 40, 10
LARGEST = 12_000  # cycles of a frame; a lost row maximum shows in networks of two tokens
SMALLEST = (
    "network=vit:image=4,patch=2,dim=16,depth=1,heads=1,classes=1",
    "network=swin:image=4,patch=2,dim=16,depths=1,heads=1,window=2,classes=1",
)
EXACT = Case(
    network="vit:image=4,patch=2,dim=16,depth=1,heads=1,classes=2",
    weights=1,
    board="tiny",
    settings=(),
    arithmetic="lean",
    memory="random:5",
    images=1,
    steps=(0, 1),
)


@pytest.mark.parametrize(("number", "pump"), [(0, 1), (1, 2)], ids=["lean", "official with two clocks"])
def test_random_networks_with_random_memories_are_exact(number: int, pump: int):
    """Half of the short form on each of two machines: rows 4 and 5, two products a DSP and one, one clock and two."""
    plan = Plan(FRAMES // 2, 1, [choice(number, pump)], largest=LARGEST)
    totals = fuzz(plan)
    print("\n".join(totals.sentences(plan)))
    assert totals.failure is None
    assert totals.frames >= FRAMES // 2 and totals.cuts >= 20
    assert len(totals.shapes) >= SHAPES // 2 and len(totals.memories) >= MEMORIES
    assert plan.residues == plan.reachable


@pytest.mark.parametrize("way", ["reset", "stop", "start"])
def test_a_frame_behind_one_that_was_cut_short(way: str):
    """Cut in the cycles around its end, too, and one frame by the next."""
    cycles = run_case(dataclasses.replace(EXACT, steps=(0,))).cycles
    cuts = ",".join(f"{way}@{cycles + offset},0" for offset in (*range(-6, 4), -cycles // 2))
    outcome = run_case(parse_case(str(EXACT).replace("steps=0,1", f"steps={way}@1,{way}@0,1,{cuts}")))
    assert (outcome.failure, outcome.cuts, outcome.frames) == (None, 13, 12)


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference of other weights than those that ran, but for networks of a single patch."""

    def other(network: str, weights: int, machine: object) -> Prepared:
        found = prepared(network, weights, machine)
        if found.model.model.shape.image == found.model.model.shape.patch:
            return found
        return dataclasses.replace(found, model=prepared(network, weights + 1, machine).model)

    monkeypatch.setattr(runner, "prepared", other)


def test_a_difference_is_told_with_the_command_that_repeats_it(wrong: None, capsys: pytest.CaptureFixture[str]):
    assert main(["--frames", "80", "--machines", "1", "--largest", "9000"]) == 1
    lines = capsys.readouterr().out.splitlines()
    (told,) = [line for line in lines if line.startswith("different: ")]
    assert "integers differ, the first at [" in told
    (command,) = [line.removeprefix("repeat it: ") for line in lines if line.startswith("repeat it: ")]
    case = command.removeprefix("python -m sim.fuzz --case '").removesuffix("'")
    # As small as it can be: one frame of the smallest network that is not spared, with a memory that never waits.
    shape, rest = case.split(" weights=")
    assert shape in SMALLEST
    assert rest in (
        f"1 board=tiny arithmetic=lean memory=ideal images={seed} steps={one}" for seed in (0, 1) for one in (0, 1)
    )
    assert main(["--case", case]) == 1
    assert told in capsys.readouterr().out


def test_a_single_case_is_told_as_json(capsys: pytest.CaptureFixture[str]):
    assert main(["--case", str(EXACT), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["frames"], found["shapes"], found["machines"], found["memories"]) == (2, 1, 1, 1)
    assert found["integers"] > 1000 and "failure" not in found


def test_a_machine_that_stops_is_a_failure():
    """A memory that answers a read later than the watchdog waits is one that nothing can run on."""
    slow = dataclasses.replace(EXACT, memory="ideal,clock_den=1000,clock_num=1,read_latency=1000")
    failure = run_case(slow).failure
    assert failure is not None and "nothing moved for too long" in failure


def test_a_violated_contract_is_a_failure(monkeypatch: pytest.MonkeyPatch):
    def violated(*arguments: object) -> None:
        raise ContractViolation("In cycle 7 a contract is violated: one.")

    monkeypatch.setattr(runner, "checked_frame", violated)
    outcome = run_case(dataclasses.replace(EXACT, steps=(Cut("reset", 100), 1)))
    assert (outcome.failure, outcome.step) == ("In cycle 7 a contract is violated: one.", 1)
