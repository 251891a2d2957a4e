"""LiteDRAM's controllers: what is generated, the constants, and the memory port in front of the native one."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from firmware.dram.initialisation import COMMANDS, CONTROL, Initialisation, Step
from hw.dram.generate import generate, instance_name
from hw.dram.generated import initialisation_of
from hw.dram.native import NativeAdapter
from hw.dram.settings import ARTY_A7, ULX3S, DramError, DramSettings, settings
from sim.reference.errors import UserError

LIMIT = 20_000
EARLIEST = 3


def test_sizes_of_the_memories():
    assert (ARTY_A7.bytes, ARTY_A7.beat_address_bits, ARTY_A7.native_address_bits) == (256 << 20, 24, 24)
    assert (ULX3S.bytes, ULX3S.beat_address_bits, ULX3S.native_address_bits) == (32 << 20, 21, 24)


@pytest.mark.parametrize("simulation", [False, True], ids=["phy", "model"])
@pytest.mark.parametrize("memory", [ARTY_A7, ULX3S], ids=lambda memory: memory.name)
def test_generated_controllers(memory: DramSettings, simulation: bool):
    core = generate(memory, simulation)
    text = core.verilog.read_text()
    assert f"module {instance_name(memory, simulation)} (" in text
    width = f"[{memory.native_bits - 1}:0]"
    assert any(width in line and "user_port_machine_wdata_data" in line for line in text.splitlines())
    assert "Date" not in text.partition("module")[0]
    assignments = [line for line in text.splitlines() if line.startswith("assign ")]
    assert len(assignments) == len(set(assignments)), "a wire would have several drivers"
    if memory is ULX3S and not simulation:
        assert any(line.strip().startswith("inout") and "sdram_dq" in line for line in text.splitlines())
    again = generate(memory, simulation)
    assert again.verilog == core.verilog and again.verilog.read_text() == text


def test_constants_of_the_arty_s_memory():
    constants = generate(ARTY_A7).initialisation
    assert constants.phy.leveling and (constants.phy.phases, constants.phy.delays, constants.phy.bitslips) == (4, 32, 8)
    control = [step for step in constants.sequence if step.register == "sdram_dfii_control"]
    # Out of reset, 500 us, clock enabled: what the standard asks of a DDR3 before its first command.
    assert control[0] == Step("sdram_dfii_control", CONTROL["ODT"] | CONTROL["RESET_N"], 50_000)
    assert control[1].value & CONTROL["CKE"]
    commands = [step.value for step in constants.sequence if step.register == "sdram_dfii_pi0_command"]
    mode = COMMANDS["RAS"] | COMMANDS["CAS"] | COMMANDS["WE"] | COMMANDS["CS"]
    assert commands == [mode] * 4 + [COMMANDS["WE"] | COMMANDS["CS"]]  # four mode registers, then ZQ calibration
    assert constants.sequence[-1].wait >= 200
    assert Initialisation.from_json(constants.to_json()) == constants


def test_constants_of_the_ulx3s_s_memory():
    constants = generate(ULX3S).initialisation
    assert not constants.phy.leveling and constants.phy.phases == 1
    issued = [step for step in constants.sequence if step.register == "sdram_dfii_pi0_command_issue"]
    assert len(issued) == 6  # precharge, mode, precharge, two refreshes, mode
    assert constants.registers["ddrctrl_init_done"] == 0


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("void other(void)\n{\n}\n", "no init_sequence"),
        ("void init_sequence(void)\n{\n\tsdram_dfii_control_write(DFII_CONTROL_NEW);\n}\n", "unknown value"),
        ("void init_sequence(void)\n{\n\tsurprise();\n}\n", "calls surprise"),
        ("void init_sequence(void)\n{\n\tother_write(1);\n}\n", "writes other"),
    ],
)
def test_another_generator_s_header_is_refused(header: str, words: str):
    with pytest.raises(DramError, match=words):
        initialisation_of('{"csr_registers": {"sdram_dfii_control": {"addr": 0, "size": 1}}}', header, 100.0)


def test_users_errors():
    with pytest.raises(DramError, match=r"no DRAM controller here; choose one of arty_a7"):
        settings("asic")
    with pytest.raises(UserError, match=r"build the board again"):
        Initialisation.from_json("{}")
    with pytest.raises(ValueError, match=r"width must be 8, 16, 32, 64 or 128, not 24"):
        NativeAdapter(24, 10)


def written(before: int, data: int, mask: int, count: int) -> int:
    """A word of `count` bytes after a write of those that `mask` names."""
    bits = sum(0xFF << 8 * byte for byte in range(count) if mask >> byte & 1)
    return (before & ~bits) | (data & bits)


Operation = tuple[int, tuple[int, int] | None]
"""A beat address, and the data and mask of a write; None reads."""


def random_operations(rng: np.random.Generator) -> tuple[list[Operation], list[int]]:
    """Writes and reads among few addresses, and what the reads answer."""
    operations: list[Operation] = []
    memory: dict[int, int] = {}
    answers = []
    for _ in range(120):
        address = int(rng.integers(16))
        if rng.integers(2):
            data, mask = int.from_bytes(rng.bytes(16), "little"), int(rng.integers(1 << 16))
            memory[address] = written(memory.get(address, 0), data, mask, 16)
            operations.append((address, (data, mask)))
        else:
            operations.append((address, None))
            answers.append(memory.get(address, 0))
    return operations, answers


class PortModel:
    """LiteDRAM's native port: it takes words when it wants them, valid or not, and answers in order."""

    def __init__(self, port, width: int, rng: np.random.Generator) -> None:
        self._port, self._bytes, self._rng = port, width // 8, rng
        self._memory: dict[int, int] = {}
        self._queue: list[tuple[int, int, bool]] = []  # cycle of its data, address, write

    def cycle(self, ctx, number: int) -> None:
        """Drives the port for a cycle, and takes its command."""
        port = self._port
        ready = int(self._rng.integers(4)) > 0
        due = self._queue.pop(0) if self._queue and self._queue[0][0] <= number else None
        address, write, read = (due[1], due[2], not due[2]) if due else (0, False, False)
        ctx.set(port.cmd_ready, ready)
        ctx.set(port.wdata_ready, write)
        ctx.set(port.rdata_valid, read)
        if read:
            ctx.set(port.rdata_data, self._memory.get(address, 0))
        if write:
            assert ctx.get(port.wdata_valid), "the controller took a word that had not come"
            data, mask = ctx.get(port.wdata_data), ctx.get(port.wdata_we)
            self._memory[address] = written(self._memory.get(address, 0), data, mask, self._bytes)
        if ready and ctx.get(port.cmd_valid):
            # LiteDRAM takes or gives a word three cycles after its command at the earliest.
            self._queue.append((number + EARLIEST, ctx.get(port.cmd_addr), bool(ctx.get(port.cmd_we))))


@pytest.mark.parametrize("width", [16, 32, 128])
def test_adapter_against_a_native_port(rng, width: int):
    adapter = NativeAdapter(width, 6)
    m = Module()
    m.submodules.adapter = adapter
    operations, answers = random_operations(rng)
    done = []

    async def commands(ctx):
        for address, word in operations:
            ctx.set(adapter.memory.cmd.valid, 1)
            ctx.set(adapter.memory.cmd.payload.address, address)
            ctx.set(adapter.memory.cmd.payload.we, word is not None)
            await ctx.tick().until(adapter.memory.cmd.ready)
            ctx.set(adapter.memory.cmd.valid, 0)
            for _ in range(int(rng.integers(2))):
                await ctx.tick()

    async def words(ctx):
        for data, mask in (word for _, word in operations if word is not None):
            for _ in range(int(rng.integers(6))):
                await ctx.tick()
            ctx.set(adapter.memory.wdata.valid, 1)
            ctx.set(adapter.memory.wdata.payload.data, data)
            ctx.set(adapter.memory.wdata.payload.mask, mask)
            await ctx.tick().until(adapter.memory.wdata.ready)
            ctx.set(adapter.memory.wdata.valid, 0)

    async def native(ctx):
        model = PortModel(adapter.native, width, rng)
        for number in range(LIMIT):
            model.cycle(ctx, number)
            if ctx.get(adapter.memory.rdata.valid):
                done.append(ctx.get(adapter.memory.rdata.payload))
            if len(done) == len(answers):
                return
            await ctx.tick()
        raise AssertionError(f"{len(done)} of {len(answers)} answers within {LIMIT} cycles")

    simulator = Simulator(m)
    simulator.add_clock(1e-8)
    simulator.add_testbench(commands, background=True)
    simulator.add_testbench(words, background=True)
    simulator.add_testbench(native)
    simulator.run()
    assert done == answers
