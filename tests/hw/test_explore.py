"""The sweep over grids and buffers, and its Pareto front."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateware.config import config
from hw.boards.parts import XC7A35T
from hw.explore import Candidate, candidates, main, pareto, thinned

MODEL = Path(__file__).resolve().parents[2] / "models" / "digits.safetensors"


def candidate(dsp: int, lut: int, bram: int, cycles: int) -> Candidate:
    return Candidate(1, 4, 512, 1024, dsp, lut, float(bram), cycles, 1e8 / cycles)


def beats(one: Candidate, other: Candidate) -> bool:
    """No worse in anything, better in something."""
    mine, others = (*one.resources, one.cycles), (*other.resources, other.cycles)
    return all(a <= b for a, b in zip(mine, others, strict=True)) and mine != others


@given(st.lists(st.builds(candidate, *[st.integers(1, 5)] * 4), min_size=1, max_size=30))
def test_the_front_is_what_nothing_beats(found: list[Candidate]):
    front = pareto(found)
    assert front and set(front) <= set(found)
    assert not any(beats(other, one) for one in front for other in found)
    assert all(
        any((one.resources, one.cycles) == (other.resources, other.cycles) or beats(other, one) for other in front)
        for one in found
    )
    shown = [(one.resources, one.cycles) for one in front]
    assert len(shown) == len(set(shown)), "a row is printed twice"
    assert [one.cycles for one in front] == sorted(one.cycles for one in front)


def test_of_equal_ones_the_smallest_buffers_are_shown():
    one = candidate(1, 1, 1, 1)
    larger = dataclasses.replace(one, a_depth=1024), dataclasses.replace(one, b_depth=2048)
    assert pareto([larger[0], one, larger[1]]) == [one]


def test_candidates_fit_and_the_boards_own_is_one():
    found = list(candidates(config("arty_a7_35"), XC7A35T))
    sizes = {(machine.rows, machine.a_depth, machine.b_depth) for machine, _ in found}
    assert (11, 2048, 3072) in sizes and not any(rows > 11 for rows, _, _ in sizes)
    assert all(needed.dsp <= 90 and needed.bram36 <= 50 and needed.lut <= XC7A35T.lut for _, needed in found)
    assert {machine.rows for machine, _ in thinned(found, 3)} == {11, 7, 4}
    assert {machine.rows for machine, _ in thinned(found, 1)} == {11}


def test_the_front_of_the_shipped_model(capsys: pytest.CaptureFixture[str]):
    assert main([str(MODEL), "--grids", "2", "--json"]) == 0
    front = json.loads(capsys.readouterr().out)
    assert {one["rows"] for one in front} == {11, 4}
    fastest, leanest = front[0], min(front, key=lambda one: one["dsp"])
    assert fastest["cycles"] < leanest["cycles"] and fastest["dsp"] > leanest["dsp"]
    assert fastest["frames_per_second"] == pytest.approx(1e8 / fastest["cycles"], rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([str(MODEL), "--part", "xc7z020"], "--part must be one of"),
        ([str(MODEL), "--grids", "0"], "--grids must be 1 or more"),
        (["nothing.safetensors"], "nothing.safetensors"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err
