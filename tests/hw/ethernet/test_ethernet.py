"""A board's addresses, and LiteEth's core as it is composed."""

import re

import pytest

from gateware.link.datagrams import UDP_PORT
from hw.build import main
from hw.ethernet.generate import generate
from hw.ethernet.settings import DEFAULT_MAC, GROUP, LOCAL, EthernetError, EthernetSettings, hardware_address

CLOCK_HZ = 100_000_000


def test_the_default_address_is_nobody_s():
    assert hardware_address(DEFAULT_MAC) & LOCAL and not hardware_address(DEFAULT_MAC) & GROUP
    assert EthernetSettings().ip_number == 0xC0A80132


@pytest.mark.parametrize(
    "ip", ["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "one", "10.0.0.0", "10.0.0.255", "127.0.0.1", "::1"]
)
def test_what_is_no_board_s_address(ip: str):
    with pytest.raises(EthernetError, match="^--ip .*[.]$"):
        EthernetSettings(ip)


@pytest.mark.parametrize(
    "mac", ["", "02:00", "02-00-00-00-00-0g", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "020000000001"]
)
def test_what_is_no_hardware_address(mac: str):
    with pytest.raises(EthernetError, match="^--mac .*[.]$"):
        EthernetSettings(mac=mac)


def test_the_core_is_the_same_every_time():
    core = generate(EthernetSettings(), CLOCK_HZ)
    text = core.verilog.read_text()
    assert f"module {core.module} (" in text and "Date" not in text.partition("module")[0] and "sha1" not in text
    assert str(UDP_PORT) in text and f"{EthernetSettings().mac_number}" in text
    assert "inout" not in text and text.count('ars_ff1 = "true"') == 2  # a reset for each of the PHY's clocks
    other = generate(EthernetSettings("10.0.0.9"), CLOCK_HZ)
    assert other.verilog != core.verilog and str(0x0A000009) in other.verilog.read_text()
    assert generate(EthernetSettings(), CLOCK_HZ).verilog == core.verilog


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--board", "arty_a7", "--ip", "10.0.0.0"], "--ip must be the address of one board"),
        (["--board", "arty_a7", "--mac", "x"], "--mac takes six bytes"),
        (["--board", "arty_a7", "--no-ethernet", "--mac", DEFAULT_MAC], "--mac .* --no-ethernet leaves it out"),
        (["--board", "ulx3s_85f", "--ip", "10.0.0.9"], "--ip is an address of Ethernet, and ulx3s_85f has none"),
    ],
)
def test_mistakes(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    out = capsys.readouterr().err
    assert re.search(sentence, out) and out.count("\n") == 1
