"""The models of memory macros in place of Amaranth's memories, on the operand buffers' benches."""

from pathlib import Path
from typing import Any

import pytest
from amaranth.back import verilog

from gateware.memory.operand_a import OperandA
from gateware.memory.operand_b import OperandB
from hw.asic.memories import AsicPlatform, behavioural
from sim.cocotb.runner import BenchFailure, quick_to_compile, run_bench

UNITS: dict[str, tuple[type, dict[str, int]]] = {
    "operand_a": (OperandA, {"rows": 4, "depth": 128, "x_width": 8}),
    "operand_b": (OperandB, {"depth": 64}),
}


def run(name: str, folder: Path, spoil: tuple[str, str] = ("", "")) -> None:
    """The bench of a unit with its memories behind wrappers, whose models are changed by `spoil`."""
    unit, arguments = UNITS[name]
    platform = AsicPlatform()
    file, models = folder / f"{name}.v", folder / "memories.v"
    file.write_text(verilog.convert(unit(**arguments), name=name, platform=platform, emit_src=False))
    assert platform.wrappers
    text = "\n".join(behavioural(wrapper) for wrapper in platform.wrappers)
    assert spoil[0] in text
    models.write_text(text.replace(*spoil) if spoil[0] else text)
    parameters: dict[str, Any] = {"unit": arguments, "count": 60}
    run_bench(
        unit(**arguments),
        name,
        "tests.gateware.memory.bench_operands",
        testcase=name,
        simulator=quick_to_compile(),
        parameters=parameters,
        verilog_file=file,
        extra_sources=[models],
    )


@pytest.mark.parametrize("name", UNITS)
def test_models_are_memories(name: str, tmp_path: Path):
    run(name, tmp_path)


def test_a_model_that_is_none_is_found(tmp_path: Path):
    with pytest.raises(BenchFailure, match=r"AssertionError: address \d+"):
        run("operand_b", tmp_path, ("if (write_enable) words", "if (!write_enable) words"))
