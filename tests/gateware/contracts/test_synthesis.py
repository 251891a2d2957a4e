"""What is synthesised has no monitors; what benches and the emulated board simulate has them."""

import re
from collections.abc import Iterator

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Fragment

from gateware.config import config
from gateware.contracts import Monitors
from gateware.machine import Machine
from hw.asic.memories import AsicPlatform
from sim.watched import Watched
from tests.gateware.contracts.units import UNITS

MONITOR = re.compile(r"\b(?:contract_\d+|access_(?:valid|number|address|lanes))\b")
CHECK = re.compile(r"\$(?:assert|assume|cover|check)\b")

LARGE = {"LayerNorm", "ShiftGELU", "Shiftmax", "SystolicArray", "Transforms"}


def statements(fragment: Fragment) -> Iterator[str]:
    """All of a design's, as text."""
    for domain in fragment.statements.values():
        yield from map(repr, domain)
    for inside, *_ in fragment.subfragments:
        yield from statements(inside)


def monitors(texts: Iterator[str]) -> set[str]:
    return {name for text in texts for name in (*MONITOR.findall(text), *CHECK.findall(text))}


def test_a_machine_that_is_synthesised_has_no_monitors():
    assert monitors(statements(Fragment.get(Machine(config("tiny")), AsicPlatform()))) == set()
    platform = Monitors()
    watched = monitors(statements(Fragment.get(Machine(config("tiny")), platform)))
    assert {f"contract_{index}" for index in range(len(platform.contracts))} < watched


@pytest.mark.parametrize("unit", sorted(UNITS.keys() - LARGE))
def test_the_netlist_of_a_unit_is_the_same_whether_it_was_watched_before_or_not(unit: str):
    texts = []
    for watch in (False, True):
        made = UNITS[unit]()
        component = made[0] if isinstance(made, tuple) else made
        if watch:
            assert Watched(component).contracts
        texts.append(rtlil.convert(component, name="top", emit_src=False))
    assert texts[0] == texts[1]
    assert not CHECK.search(texts[0])
    assert not MONITOR.search(texts[0])
