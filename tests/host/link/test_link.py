"""The host's end of the link, against a device in Python and against the gateware, over channels good and bad."""

import random

import pytest

from gateware.link.packets import MAX_PAYLOAD, WINDOW, Command, ErrorCode, Identity, Status
from host.faults.channel import BYTE_FAULTS, FaultyTransport
from host.link.connection import Connection
from host.link.errors import LinkError, MachineStopped, NoAnswer, RequestRefused, SessionLost
from host.link.exchange import Exchange
from host.link.transport import InProcessTransport
from host.link.window import Order
from sim.reference.rounding import ceil_div
from tests.gateware.link.link_board import ADDRESS_BITS, BUS_ERROR, BUS_SILENT, CONSTANT, IDENTITY, Counter
from tests.host.devices.link_devices import CLOCK_HZ, Device, DeviceModel, EmulatedDevice
from tests.host.faults.faulty_channel import FaultyChannel

MEMORY = 16 << ADDRESS_BITS
DEVICES = [DeviceModel, EmulatedDevice]


@pytest.fixture(params=DEVICES)
def device(request):
    made = request.param()
    yield made
    made.close()


@pytest.fixture
def connection(device: Device):
    return Connection(InProcessTransport(device.exchange))


def test_identity_and_counters(connection: Connection):
    assert connection.identity == IDENTITY
    assert connection.identity.memory_bytes == MEMORY
    assert connection.counters()[Counter.CONSTANT] == CONSTANT
    assert connection.statistics.resent == 0


@pytest.mark.parametrize("length", [1, 15, 16, 17, MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1, 5 * MAX_PAYLOAD + 3])
def test_memory_from_any_byte_on(device: Device, connection: Connection, length: int):
    rng = random.Random(length)
    everything = rng.randbytes(MEMORY)
    connection.write(0, everything)
    for address in (0, 1, 15, 16, 4000 + length, MEMORY - length):
        content = rng.randbytes(length)
        connection.write(address, content)
        everything = everything[:address] + content + everything[address + length :]
        assert connection.read(address, length) == content
    assert device.peek(0, MEMORY) == everything


def test_nothing_is_nothing(connection: Connection):
    connection.write(MEMORY, b"")
    assert connection.read(MEMORY, 0) == b""


def test_a_program(device: Device, connection: Connection):
    device.set_program(duration=30_000, outcome=0)
    connection.run(0x120)
    assert connection.status().busy
    with pytest.raises(RequestRefused, match=r"refused to run the program at 0x40: a program is running; wait") as busy:
        connection.run(0x40)
    assert busy.value.status == Status.BUSY
    with pytest.raises(LinkError, match=r"still runs after 0.001 s: wait longer, or stop it"):
        connection.wait(0.001)
    connection.wait(1)
    counters = connection.counters()
    assert (counters[Counter.STARTS], counters[Counter.PROGRAM]) == (1, 0x12)


def test_a_program_that_fails(device: Device, connection: Connection):
    device.set_program(duration=1000, outcome=ErrorCode.ADDRESS_RANGE)
    connection.run(0)
    with pytest.raises(MachineStopped, match="The machine stopped: the program reaches outside memory"):
        connection.wait(1)
    connection.stop()
    assert connection.status().error == ErrorCode.ADDRESS_RANGE
    connection.reset()
    assert connection.status().error == 0
    device.set_program(duration=1000, outcome=15)
    connection.run(0)
    with pytest.raises(MachineStopped, match="unknown code 15"):
        connection.wait(1)
    assert connection.counters()[Counter.STOPS] == 2


def test_stop(device: Device, connection: Connection):
    device.set_program(duration=1 << 23, outcome=0)
    connection.run(0)
    connection.stop()
    connection.wait(0.01)


def test_registers(connection: Connection):
    for register in range(4):
        connection.control_write(4 * register, 0x01020304 << register)
    assert [connection.control_read(4 * register) for register in range(4)] == [0x01020304 << r for r in range(4)]
    assert connection.counters()[Counter.CONTROL_WRITES] == 4
    for address, sentence in ((BUS_ERROR, "there is no such register"), (BUS_SILENT, "control bus does not respond")):
        with pytest.raises(RequestRefused, match=f"refused to read the register {address:#x}: .*{sentence}"):
            connection.control_read(address)
        with pytest.raises(RequestRefused, match=f"refused to write the register {address:#x}: .*{sentence}"):
            connection.control_write(address, 1)
    with pytest.raises(RequestRefused, match="programs begin at multiples of 16 and registers at multiples of 4"):
        connection.control_read(2)
    assert connection.control_read(0) == 0x01020304


def test_requests_that_the_host_does_not_make(device: Device):
    exchange = Exchange(InProcessTransport(device.exchange))
    exchange.open()
    orders = [
        (Order(Command.READ, MEMORY - 1, length=2), Status.ADDRESS_RANGE),
        (Order(Command.READ, (1 << 32) - 4, length=8), Status.ADDRESS_RANGE),
        (Order(Command.WRITE, MEMORY - 3, b"1234"), Status.ADDRESS_RANGE),
        (Order(Command.WRITE, MEMORY, b"1"), Status.ADDRESS_RANGE),
        (Order(Command.RUN, MEMORY), Status.ADDRESS_RANGE),
        (Order(Command.RUN, 8), Status.MISALIGNED),
        (Order(Command.CONTROL_WRITE, 1, b"1234"), Status.MISALIGNED),
        (Order(Command.READ, 0, length=0), Status.WRONG_LENGTH),
        (Order(Command.READ, 0, length=MAX_PAYLOAD + 1), Status.WRONG_LENGTH),
        (Order(Command.READ, 0, b"1", length=1), Status.WRONG_LENGTH),
        (Order(Command.WRITE, 0, b""), Status.WRONG_LENGTH),
        (Order(Command.WRITE, 0, b"12", length=1), Status.WRONG_LENGTH),
        (Order(Command.WRITE, 0, b"12", length=3), Status.WRONG_LENGTH),
        (Order(Command.CONTROL_WRITE, 0, b"123"), Status.WRONG_LENGTH),
        (Order(Command.STATUS, 0, b"1"), Status.WRONG_LENGTH),
        (Order(Command.STATUS, 0, length=1), Status.WRONG_LENGTH),
        (Order(11), Status.UNKNOWN_COMMAND),  # type: ignore[arg-type]
        (Order(255), Status.UNKNOWN_COMMAND),  # type: ignore[arg-type]
        (Order(Command.READ, MEMORY - 1, length=1, expected=1), Status.DONE),
        (Order(Command.WRITE, MEMORY - 1, b"1"), Status.DONE),
        (Order(Command.RUN, MEMORY - 16), Status.DONE),
    ]
    answers = exchange.carry_out([order for order, _ in orders])
    assert [answer.status for answer in answers] == [status for _, status in orders]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_a_bad_channel(device: Device, seed: int, rate: float):
    print(f"seed {seed}")
    rng = random.Random(seed)
    channel = FaultyChannel(device.exchange, rng, rate)
    connection = Connection(InProcessTransport(channel.exchange), timeout=0.05, attempts=50)
    device.set_program(duration=20, outcome=0)
    memory, starts, writes = bytearray(device.peek(0, MEMORY)), 0, 0
    for _ in range(60):
        address = rng.randrange(MEMORY)
        length = min(MEMORY - address, rng.choice([1, 16, 300, 5000, 20_000]))
        match rng.choice(["write", "read", "run", "control", "counters"]):
            case "write":
                content = rng.randbytes(length)
                connection.write(address, content)
                memory[address : address + length] = content
            case "read":
                assert connection.read(address, length) == memory[address : address + length]
            case "run":
                connection.wait(1)
                connection.run(address // 16 * 16)
                starts += 1
            case "control":
                value = rng.getrandbits(32)
                connection.control_write(8, value)
                writes += 1
                assert connection.control_read(8) == value
            case "counters":
                counters = connection.counters()
                assert (counters[Counter.STARTS], counters[Counter.CONTROL_WRITES]) == (starts, writes)
    assert channel.faults > 0 and connection.statistics.resent > 0
    channel.rate = 0.0
    counters = connection.counters()
    assert (counters[Counter.STARTS], counters[Counter.CONTROL_WRITES]) == (starts, writes)
    assert device.peek(0, MEMORY) == memory


@pytest.mark.parametrize("kind", BYTE_FAULTS)
def test_pieces_as_long_as_the_line_lets_them_be(device: Device, kind: str):
    """At 1 byte in 100 no long packet comes through: shorter ones do, and when the line is sound long ones again."""
    line = FaultyTransport(InProcessTransport(device.exchange), random.Random(5), kind)
    connection = Connection(line, timeout=0.01)
    content = random.Random(6).randbytes(5_000)
    line.rate = 0.01
    connection.write(5, content)
    assert connection.read(5, len(content)) == content
    assert device.peek(5, len(content)) == content
    line.rate = 0.0
    sent = connection.statistics.sent
    # From any length that halving leaves, 64 clean pieces for each doubling are at most 22 writes.
    for _ in range(22):
        connection.write(5, content)
    before, sent = sent, connection.statistics.sent
    connection.write(5, content)
    assert connection.statistics.sent - sent == ceil_div(len(content) + 5, MAX_PAYLOAD)
    assert sent - before > 22 * (connection.statistics.sent - sent)


def test_a_device_that_was_restarted(device: Device, connection: Connection):
    device.restart()
    with pytest.raises(SessionLost, match="The device has forgotten this session: it was restarted"):
        connection.write(0, b"1234")
    with pytest.raises(SessionLost, match="no open session"):
        connection.write(0, b"1234")
    connection.open()
    connection.write(0, b"1234")
    assert connection.read(0, 4) == b"1234"


def test_a_second_host(device: Device, connection: Connection):
    device.exchange(b"\x05half a frame", 0)
    second = Connection(InProcessTransport(device.exchange))
    second.write(64, b"second")
    with pytest.raises(SessionLost, match="or another program has opened it"):
        connection.write(64, b"first")
    assert second.read(64, 6) == b"second"


@pytest.mark.parametrize("device", [EmulatedDevice], indirect=True)  # the model has no time-out
def test_half_a_frame_is_forgotten(device: EmulatedDevice, connection: Connection):
    device.exchange(b"\xffhalf", 8192 / CLOCK_HZ)
    connection.write(0, b"1234")
    assert connection.read(0, 4) == b"1234"
    assert connection.statistics.resent == 0


def test_memory_that_does_not_respond():
    device = EmulatedDevice()
    connection = Connection(InProcessTransport(device.exchange))
    connection.write(0, bytes(range(100)))
    device.emulation.set_input("blocked", 1)
    for _ in range(3):
        with pytest.raises(RequestRefused, match="refused to read memory at 0x0: the device's memory does not respond"):
            connection.read(0, 100)
    with pytest.raises(RequestRefused, match="refused to write memory at 0x10: the device's memory does not respond"):
        connection.write(16, bytes(100))
    device.emulation.set_input("blocked", 0)
    assert connection.read(0, 16) == bytes(range(16))
    connection.write(16, bytes(range(84)))
    assert connection.read(16, 84) == bytes(range(84))
    device.close()


@pytest.mark.parametrize("noise", [b"", b"\0", b"garbage", b"\x01\0\x02"])
def test_nobody_there(noise: bytes):
    transport = InProcessTransport(lambda content, seconds: noise)
    with pytest.raises(NoAnswer, match=r"does not answer \(3 times 0.1 s.*check the cable"):
        Connection(transport, timeout=0.1, attempts=3)
    assert transport.now() == pytest.approx(0.3, abs=0.11)


def test_an_answer_that_never_has_its_payload():
    model = DeviceModel()
    connection = Connection(InProcessTransport(model.exchange), attempts=5)
    model.peek = lambda address, length: b""  # type: ignore[method-assign]
    with pytest.raises(NoAnswer, match="answers are lost, 5 times in a row"):
        connection.read(0, 4)
    model.peek = lambda address, length: b"12"  # type: ignore[method-assign]
    connection.open()
    with pytest.raises(LinkError, match="answered 2 bytes instead of 4"):
        connection.read(0, 4)


def test_another_version(monkeypatch: pytest.MonkeyPatch):
    fields = {**IDENTITY.__dict__, "version": 2}
    monkeypatch.setattr("tests.host.devices.link_devices.IDENTITY", Identity(**fields))
    with pytest.raises(LinkError, match="speaks version 2 of the link's protocol, and this program version 1"):
        Connection(InProcessTransport(DeviceModel().exchange))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda c: c.read(MEMORY - 1, 2), "2 bytes from address 65535 on are not all inside"),
        (lambda c: c.write(-1, b"12"), "2 bytes from address -1 on are not all inside"),
        (lambda c: c.run(MEMORY), "1 bytes from address 65536 on are not all inside"),
        (lambda c: c.control_write(0, 1 << 32), "4294967296 does not fit"),
        (lambda c: c.control_read(-4), "-4 does not fit"),
    ],
)
def test_mistakes(call, sentence: str):
    connection = Connection(InProcessTransport(DeviceModel().exchange))
    with pytest.raises(LinkError, match=sentence):
        call(connection)


@pytest.mark.parametrize(("timeout", "attempts", "window"), [(0, 8, 32), (1, 0, 32), (1, 8, 0), (1, 8, WINDOW + 1)])
def test_wrong_parameters(timeout: float, attempts: int, window: int):
    with pytest.raises(LinkError, match="The link"):
        Exchange(InProcessTransport(DeviceModel().exchange), timeout, attempts, window)
