"""Which devices there are, and how each is opened.

A device is named on the command line as `NAME` or `NAME:ARGUMENT` (`reference`, `serial:/dev/ttyUSB1`). Another kind of
device derives from `host.devices.base.Device` and is entered in `DEVICES` or through `register`; every command then
takes it.
"""

from __future__ import annotations

from collections.abc import Callable

from host.command.errors import HostError
from host.devices.base import Device

__all__ = ["DEFAULT_DEVICE", "DEVICES", "open_device", "register"]

DEFAULT_DEVICE = "sim"


def _reference(argument: str) -> Device:
    from host.devices.reference import ReferenceDevice  # each device's own libraries are imported when it is opened

    return ReferenceDevice(argument)


def _emulated(argument: str) -> Device:
    from host.devices.emulated import EmulatedDevice

    return EmulatedDevice(argument)


def _serial(argument: str) -> Device:
    from host.devices.serial_port import serial_device

    return serial_device(argument)


def _tcp(argument: str) -> Device:
    from host.devices.serial_port import tcp_device

    return tcp_device(argument)


def _udp(argument: str) -> Device:
    from host.devices.udp import udp_device

    return udp_device(argument)


DEVICES: dict[str, Callable[[str], Device]] = {
    "reference": _reference,
    "sim": _emulated,
    "serial": _serial,
    "tcp": _tcp,
    "udp": _udp,
}
"""Opens each kind of device from its argument (empty where none was given)."""


def register(name: str, opener: Callable[[str], Device]) -> None:
    """Enters another kind of device.

    Raises
    ------
    ValueError : the name is taken, or has a colon or nothing in it
    """
    if not name or ":" in name:
        raise ValueError(f"A device's name is one word without a colon, not {name!r}.")
    if name in DEVICES:
        raise ValueError(f"The device {name!r} is registered already: choose another name.")
    DEVICES[name] = opener


def open_device(spec: str) -> Device:
    """Opens the device that `spec` names, `NAME` or `NAME:ARGUMENT`.

    Raises
    ------
    HostError : no device has that name, its argument is wrong, or it does not answer
    """
    name, _, argument = spec.partition(":")
    if name not in DEVICES:
        known = f"name one of {', '.join(sorted(DEVICES))}" if DEVICES else "none is installed"
        raise HostError(f"There is no device {spec!r}: {known}.")
    return DEVICES[name](argument)
