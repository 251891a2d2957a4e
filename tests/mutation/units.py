"""The units whose mutants are made, each with the bench that must notice them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from amaranth.lib import wiring

from gateware.array.grid import SystolicArray
from gateware.config import config
from gateware.control.fetch import Fetch
from gateware.control.semaphores import Semaphores
from gateware.control.sequencer import Sequencer
from gateware.engines.execute.maxima import RowMaxima
from gateware.engines.execute.residual_fetch import ResidualFetch
from gateware.engines.load.loader import Loader
from gateware.gelu.shiftgelu import ShiftGELU
from gateware.isa import Engine
from gateware.layernorm.layernorm import LayerNorm
from gateware.link.executor import Executor
from gateware.link.receiver import Receiver
from gateware.link.two_lines import TwoLines
from gateware.memory.arbiter import MemoryArbiter
from gateware.memory.operand_a import OperandA
from gateware.memory.operand_b import OperandB
from gateware.postprocess.lane import RescaleLane
from gateware.postprocess.postprocessor import PostProcessor
from gateware.softmax.shiftmax import Shiftmax
from sim.reference.arithmetic import LEAN
from tests.gateware.engines.tile_writer import TileWriter
from tests.gateware.gelu.test_shiftgelu import SCALES
from tests.gateware.link.executor_model import PEER_BITS, identity_of
from tests.gateware.link.link_board import ADDRESS_BITS
from tests.gateware.link.test_executor import TIMEOUT_BITS, TOOK

__all__ = ["UNITS", "Trial", "Unit"]


@dataclass(frozen=True)
class Trial:
    """One test of a bench with its parameters."""

    bench: str
    test: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Unit:
    """A unit at the size at which it is tested, and its trials, those that find most in the least time first.

    ``without`` are submodules that another unit's bench tests.
    """

    name: str
    make: Callable[[], wiring.Component]
    trials: tuple[Trial, ...]
    without: tuple[str, ...] = ()


def trials(bench: str, *tests: str, **parameters: Any) -> tuple[Trial, ...]:
    return tuple(Trial(f"tests.gateware.{bench}", test, parameters) for test in tests)


ARRAY: dict[str, Any] = {"rows": 3, "columns": 1, "pack": 2, "x_width": 9, "packed_full_range": True}
ARRAY_TESTS = ("edges", "gaps_and_short_tiles", "no_bubbles", "halves", "reset_in_a_tile")
POSTPROCESSOR = {"rows": 4, "acc_width": 26, "multiplier_bits": 16}
LAYERNORM: dict[str, Any] = {"max_channels": 16, "multiplier_bits": 16}
SHIFTMAX: dict[str, Any] = {"rows": 4, "max_length": 64, "arithmetic": LEAN, "bits": 10, "x0_bits": 10}
OPERAND_A = {"rows": 6, "depth": 512, "x_width": 9}


def postprocessor_trials() -> tuple[Trial, ...]:
    parameters = {**POSTPROCESSOR, "latency": PostProcessor(**POSTPROCESSOR).latency, "residual_limit": 21}
    tests = ("random_tiles", "throughput", "ready_is_registered", "reset_in_a_tile", "slow_neighbours")
    return (
        *trials("postprocess.bench_postprocess", *tests, **parameters, stalls=[0.0, 0.4], tiles=20),
        *trials("postprocess.bench_postprocess", "random_tiles", **parameters, stalls=[0.0], tiles=150),
    )


def layernorm_trials() -> tuple[Trial, ...]:
    unit = LayerNorm(**LAYERNORM)
    rate = {"channels": 16, "limit": max(32, unit.root_cycles)}
    return (
        *trials("layernorm.bench_layernorm", "extremes", **LAYERNORM, lengths=[4, 8, 16], stall=0.2),
        *trials("layernorm.bench_layernorm", "random_rows", **LAYERNORM, stall=0.0),
        *trials("layernorm.bench_layernorm", "throughput", **LAYERNORM, **rate),
        *trials("layernorm.bench_layernorm", "reset_in_a_row", "results_wait", **LAYERNORM),
        *trials("layernorm.bench_layernorm", "random_rows", **LAYERNORM, stall=0.95),
    )


def shiftmax_trials() -> tuple[Trial, ...]:
    parameters = {**SHIFTMAX, "arithmetic": asdict(LEAN), "latency": Shiftmax(**SHIFTMAX).latency}
    tests = ("random_blocks", "edge_rows", "tight_rows", "throughput", "senseless_jobs", "reset_in_a_row")
    rates = [(64, 33), (24, 17), (1, 17)]
    return (
        *trials("softmax.bench_shiftmax", *tests, **parameters, stalls=[0.0, 0.6], blocks=8, rates=rates),
        *trials("softmax.bench_shiftmax", "random_blocks", **parameters, stalls=[0.0], blocks=60),
    )


def shiftgelu_trials() -> tuple[Trial, ...]:
    parameters: dict[str, Any] = {"arithmetic": asdict(LEAN), "scales": [2, 24], "stalls": [0.3]}
    parameters |= {"lengths": [(4, 3), (256, 1)], "moments": [1, 700]}
    rates = {"rates": [(768, 2, 1032)], "least_rate": 2, "latency": 1097}
    tests = ("quick_groups", "random_groups", "edge_tables", "maxima_come_first", "reset_in_a_row", "throughput")
    more = {**parameters, "scales": SCALES, "lengths": [(524, 1)]}
    return (
        *trials("gelu.bench_shiftgelu", *tests, "values_above_the_maximum", **parameters, **rates),
        *trials("gelu.bench_shiftgelu", "every_maximum", "edge_tables", "random_groups", **more),
    )


MAXIMA_TESTS = ("random_traffic", "resets", "a_row_comes_again", "a_look_up_right_after_an_update", "latency")

LANE = {"value_width": 27, "multiplier_bits": 16}
LOADER = {"engine": "LOADT", "address_bits": 12, "settle": 4, "stall": 0.3, "operations": 30}
ARBITER: dict[str, Any] = {"readers": 3, "writers": 3, "guests": 1, "burst": 8, "address_bits": 8, "in_flight": 16}
ARBITER_TESTS = ("turns", "random_traffic", "many_unanswered", "stops", "bursts_under_stalls", "resets")
ARBITER |= {"stall": 0.4, "count": 120, "stops": 4}


def lane_parameters() -> dict[str, int]:
    unit = RescaleLane(**LANE)
    return {**LANE, "latency": unit.latency, "addend_latency": unit.addend_latency, "cycles": 2500}


SEMAPHORES_TESTS = ("resets", "reset_amid_waits", "overflow", "random_traffic", "cleared")
FETCH_TESTS = ("full_speed", "programs", "end_of_memory", "errors")
STORE = ("stores", "store_rate", "store_outside", "store_reset", "store_large")
FETCH = ("fetches", "fetch_rate", "fetch_outside", "fetch_reset", "fetch_large")
TILE: dict[str, Any] = {"rows": 5, "address_bits": 16, "stall": 0.3, "operations": 20, "latency": 6, "slack": 8}
TILE |= {"rates": {"1": 100, "2": 200, "4": 380}, "series": 0}

TWO_LINES_TESTS = (
    *("answers", "the_uart_alone", "a_frame_that_a_datagram_breaks", "silence", "silence_without_room"),
    *("with_room", "without_room"),
)

EXECUTOR: dict[str, Any] = {"timeout_bits": TIMEOUT_BITS, "memory_beats": 1 << ADDRESS_BITS, "stall": 0.3}
EXECUTOR |= {"requests": 800, "resets": 40, "took": TOOK}

_ALL = (
    Unit(
        "array",
        lambda: SystolicArray(**ARRAY),
        trials(
            "array.bench_array", "edges", "gaps_and_short_tiles", "no_bubbles", "halves", "reset_in_a_tile", **ARRAY
        ),
    ),
    Unit("postprocessor", lambda: PostProcessor(**POSTPROCESSOR), postprocessor_trials()),
    Unit("layernorm", lambda: LayerNorm(**LAYERNORM), layernorm_trials()),
    Unit("shiftmax", lambda: Shiftmax(**SHIFTMAX), shiftmax_trials()),
    Unit("shiftgelu", lambda: ShiftGELU(LEAN), shiftgelu_trials()),
    Unit(
        "operand_a",
        lambda: OperandA(OPERAND_A["rows"], OPERAND_A["depth"], OPERAND_A["x_width"]),
        trials("memory.bench_operands", "operand_a", "reset_of_operand_a", unit=OPERAND_A, count=100),
    ),
    Unit(
        "operand_b",
        lambda: OperandB(64),
        trials("memory.bench_operands", "operand_b", unit={"depth": 64}, count=100),
    ),
    Unit(
        "maxima",
        lambda: RowMaxima(8),
        trials("engines.bench_maxima", *MAXIMA_TESTS, max_rows=8, repeats=6, cycles=2000, stall=0.4),
    ),
    Unit(
        "store",
        lambda: TileWriter(TILE["rows"], TILE["address_bits"]),
        (
            *trials("engines.bench_store", *STORE, **TILE),
            *trials("engines.bench_store", "store_large", **TILE | {"series": 1}),
        ),
    ),
    Unit(
        "residual_fetch",
        lambda: ResidualFetch(TILE["rows"], TILE["address_bits"]),
        (
            *trials("engines.bench_residual_fetch", *FETCH, **TILE),
            *trials("engines.bench_residual_fetch", "fetch_large", **TILE | {"series": 1}),
        ),
    ),
    Unit(
        "semaphores",
        lambda: Semaphores(3, 2),
        trials("control.bench_semaphores", *SEMAPHORES_TESTS, givers=3, takers=2, cycles=3000),
    ),
    Unit(
        "sequencer",
        lambda: Sequencer(Engine.EXEC),
        trials("control.bench_sequencer", "every_cycle", engine="EXEC", cycles=3000),
    ),
    Unit(
        "fetch",
        lambda: Fetch(config("tiny")),
        trials("control.bench_fetch", *FETCH_TESTS, config="tiny", stall=0.3),
        without=("reader",),  # the loaders have it too, with descriptors of all kinds
    ),
    Unit(
        "lane",
        lambda: RescaleLane(**LANE),
        trials("postprocess.bench_lane", "every_cycle", **lane_parameters()),
    ),
    Unit(
        "loader",
        lambda: Loader(Engine.LOADT, 12, depth=8, settle=4),
        trials("engines.bench_loader", "without_stalls", "programs", "errors", **LOADER),
    ),
    Unit(
        "arbiter",
        lambda: MemoryArbiter(8, 3, 3, burst=8, in_flight=16, guests=1),
        trials("memory.bench_arbiter", *ARBITER_TESTS, **ARBITER),
    ),
    Unit(
        "receiver",
        lambda: Receiver(6),
        trials("link.bench_receiver", "pauses", "two_wait", "resets", "frames", timeout_bits=6, frames=100),
    ),
    Unit(
        "two_lines",
        lambda: TwoLines(6),
        trials("link.bench_two_lines", *TWO_LINES_TESTS, timeout=64, datagrams=100),
    ),
    Unit(
        "executor",
        lambda: Executor(identity_of(EXECUTOR["memory_beats"]), ADDRESS_BITS, TIMEOUT_BITS, PEER_BITS),
        trials("link.bench_executor", "any_requests", "resets", "cycles", **EXECUTOR),
    ),
)
UNITS = {unit.name: unit for unit in _ALL}
