"""Requests and answers through the UART's pins, with disturbances on the wire between them."""

import cocotb
from cocotb.triggers import Timer

from gateware.link.framing import frame
from gateware.link.packets import Command, Request
from sim.cocotb.bench import generator, parameters, start
from tests.gateware.link.bench_uart import bit_ps, receive, send
from tests.gateware.link.link_board import ADDRESS_BITS
from tests.gateware.memory.memory_partner import MemoryPartner
from tests.host.devices.link_devices import DeviceModel

SESSION = 0x5EA1


@cocotb.test()
async def requests_through_the_pins(dut):
    for name in ("duration", "outcome", "blocked"):
        getattr(dut, name).value = 0
    dut.rx.value = 1
    memory = MemoryPartner(dut, ADDRESS_BITS, 16 << ADDRESS_BITS, generator("memory"), 0.3)
    model, content = DeviceModel(), generator("content").randbytes(90)
    await start(dut, 1_000_000)
    orders = [
        (Command.OPEN, 0, b"", 0),
        (Command.WRITE, 77, content, 90),
        (Command.READ, 77, b"", 90),
        (Command.COUNTERS, 0, b"", 0),
    ]
    for number, (command, address, payload, length) in enumerate(orders):
        line = frame(Request(SESSION, number, command, address, payload, length).to_bytes())
        error = parameters()["errors"][number % len(parameters()["errors"])]
        # A disturbed wire: half a bit of noise, and a byte without its stop bit.
        for pulse in (0.3, 12.0):
            dut.rx.value = 0
            await Timer(round(pulse * bit_ps()), unit="ps")
            dut.rx.value = 1
            await Timer(round(3 * bit_ps()), unit="ps")
        expected = model.exchange(line, 0)
        answer = cocotb.start_soon(receive(dut, len(expected), error))
        # Each request also comes a first time with a bit turned over, and is dropped.
        damaged = bytearray(line)
        damaged[3] ^= 0x10
        await send(dut, bytes(damaged) + b"\0" + line, error, name=str(number))
        assert await answer == expected, f"{command.name}, rate off by {error}"
    assert bytes(memory.content[77:167]) == content
