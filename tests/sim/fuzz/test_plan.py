"""Cases: as text and back, as they follow from a seed, and made smaller."""

import itertools
import random

import pytest

from sim.emulator.memories import memory_named
from sim.fuzz.case import Case, Cut, parse_case
from sim.fuzz.command import main
from sim.fuzz.machines import MACHINES, choice, of_board
from sim.fuzz.networks import by_residue, network, residues
from sim.fuzz.plan import Plan
from sim.fuzz.shrink import shrunk
from sim.reference.architecture import parse_architecture
from sim.reference.errors import UserError
from sim.reference.swin_shape import SwinShape
from sim.reference.vit_shape import VitShape

CASE = Case(
    network="vit:image=12,patch=4,dim=96,depth=3,heads=3,classes=10,distilled=1",
    weights=77,
    board="tiny",
    settings=("rows=5", "pack=1", "columns=4"),
    arithmetic="lean",
    memory="random:9",
    images=8,
    steps=(0, 1, Cut("reset", 400), 0),
)
SWIN = "swin:image=32,patch=4,dim=64,depths=2-3,heads=2-4,window=4,classes=10"


def test_a_case_is_a_line_of_text():
    assert parse_case(str(CASE)) == CASE
    assert CASE.command() == f"python -m sim.fuzz --case '{CASE}'"
    assert CASE.machine().rows == 5


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("weights=77 ", "", "weights must be there, too"),
        ("weights=77", "weights=x", "weights must be a whole number of 0 to 4294967295, not 'x'"),
        ("weights=77", "weights=77 weights=78", "'weights=78' is not understood"),
        ("weights=77", "height=77", "'height=77' is not understood; a case is for instance 'network="),
        ("board=tiny", "board=huge", "unknown board or configuration 'huge'"),
        ("rows=5", "rows=3", "rows must be 4 to 64, not 3"),
        ("rows=5", "row=5", "--set row=5 names no number"),
        ("arithmetic=lean", "arithmetic=leaner", "unknown arithmetic 'leaner'"),
        ("random:9", "random:x", "--memory: a random memory is random:SEED"),
        ("reset@400", "pause@400", "steps must be a whole number of 0 to 1000, not 'pause@400'"),
        ("reset@400", "reset@", "steps must be a whole number of 0 to 1000000000, not ''"),
        ("steps=0", "steps=" + 1000 * "0,", "steps must be at most 1000, not 1004"),
        ("vit:image=12", "vit:image=13", "image must be a multiple of patch"),
    ],
)
def test_a_wrong_case_is_one_sentence(old: str, new: str, sentence: str, capsys: pytest.CaptureFixture[str]):
    assert main(["--case", str(CASE).replace(old, new)]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err and captured.err.count("\n") == 1 and not captured.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--frames", "0"], "--frames must be 1 to 1000000, not 0"),
        (["--machines", "19"], f"--machines must be 1 to {MACHINES}, not 19"),
        (["--board", "nowhere"], "--board: unknown board or configuration 'nowhere'"),
        (["--memory", "core"], "--memory: memory must be one of"),
    ],
)
def test_a_wrong_argument_is_one_sentence(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err


def test_all_follows_from_the_seed():
    cases = [list(Plan(24, seed, [choice(0), choice(1)], largest=25_000).cases()) for seed in (1, 1, 2)]
    assert cases[0] == cases[1] != cases[2]
    machines = [case.machine().rows for case in cases[0]]
    assert machines == sorted(machines) and {*machines} == {4, 5}
    assert sum(isinstance(step, int) for case in cases[0] for step in case.steps) >= 24
    # Frames are whole at the end: what was cut short before them must have left nothing behind.
    assert all(isinstance(case.steps[-1], int) for case in cases[0])
    assert {step.way for case in cases[0] + cases[2] for step in case.steps if isinstance(step, Cut)} == {
        "reset",
        "stop",
        "start",
    }


def test_only_the_memories_that_are_asked_for():
    plan = Plan(16, 2, [choice(0)], ["ideal", "random:3"], largest=25_000)
    assert {case.memory for case in plan.cases()} == {"ideal", "random:3"}


def test_the_machines_are_of_every_kind():
    machines = [choice(number).machine() for number in range(MACHINES)]
    assert {(machine.rows, machine.pack) for machine in machines} == set(itertools.product(range(4, 13), (1, 2)))
    kinds = {(machine.arithmetic.name, machine.probability_bits) for machine in machines}
    narrower = {(f"lean:softmax_bits={bits}", bits) for bits in (8, 9)}
    assert kinds == {("lean", 10), *narrower, ("official", 8), ("official", 16)}
    assert len({machine.fingerprint for machine in machines}) == MACHINES
    assert {machine.machine().probability_bits for machine in of_board("arty_a7")} == {8, 10, 16}


@pytest.mark.parametrize("number", range(MACHINES))
def test_every_residue_that_a_network_can_have_is_drawn(number: int):
    """Squares leave no other residues: of ViT plus one or two tokens, of Swin's maps and windows as they are."""
    machine = choice(number).machine()
    frames, draw = by_residue(machine), random.Random(number)
    squares = {side * side % machine.rows for side in range(1, 10)}
    found = set(frames)
    if machine.arithmetic.softmax_bits:
        assert found >= {(square + more) % machine.rows for square in squares for more in (0, 1, 2)}
    for residue, those in frames.items():
        shape = parse_architecture(network(draw.choice(those), draw))
        if isinstance(shape, VitShape):
            counts = {shape.tokens, shape.tokens - shape.tokens_in_front}
        else:
            assert isinstance(shape, SwinShape)
            counts = {shape.side(0) ** 2, shape.stage_window(0) ** 2}
        assert residue in {count % machine.rows for count in counts}
        assert all(residue in residues(frame, machine.rows) for frame in those)


def test_a_case_shrinks_to_what_its_failure_needs():
    def fails(case: Case) -> bool:
        shape = parse_architecture(case.network)
        assert isinstance(shape, VitShape)
        profile = memory_named(case.memory)
        return shape.tokens >= 6 and shape.dim >= 32 and profile.word_stall > 0 and len(case.steps) >= 2

    begun = Case(**{**vars(CASE), "memory": "random:35"})
    assert memory_named("random:35").word_stall and fails(begun)
    smallest = shrunk(begun, fails)
    assert fails(smallest)
    # 2 x 2 patches and a token in front of them are one too few.
    assert smallest.network == "vit:image=6,patch=2,dim=32,depth=1,heads=1,classes=1"
    assert (smallest.weights, smallest.images, len(smallest.steps)) == (1, 1, 2)
    profile = memory_named(smallest.memory)
    assert (profile.banks, profile.answer_stall, profile.command_stall, profile.crossing) == (0, 0, 0, 0)


def test_a_swin_shrinks():
    smallest = shrunk(Case(**{**vars(CASE), "network": SWIN}), lambda case: "depths=2" in case.network)
    assert smallest.network == "swin:image=2,patch=2,dim=16,depths=2,heads=1,window=4,classes=1"
    assert smallest.memory == "ideal"


def test_shrinking_passes_over_what_cannot_be_run():
    def fails(case: Case) -> bool:
        if parse_architecture(case.network).classes == 1:
            raise UserError("no such machine.")
        return True

    assert "classes=10" in shrunk(CASE, fails).network
