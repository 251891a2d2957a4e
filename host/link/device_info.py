"""What a device says of itself, and which configuration that is."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from gateware.config import PRESETS, PROBABILITY_BITS, AcceleratorConfig, config, settings
from gateware.link.packets import ErrorCode, Identity, MachineState
from sim.reference.arithmetic import PRESETS as ARITHMETICS

__all__ = ["DeviceInfo", "configuration", "configuration_name", "state_text"]

KNOWN = (*ARITHMETICS, "lean:softmax_bits=8", "lean:softmax_bits=9")  # arithmetics that boards are built for


@dataclass(frozen=True)
class DeviceInfo:
    """Identity and state of a machine behind a link.

    Members
    -------
    identity : version of the link's protocol, fingerprint, memory, clock
    state : whether a program runs, and why the last one stopped
    """

    identity: Identity
    state: MachineState

    def as_object(self) -> dict[str, object]:
        """For `--json`."""
        identity = self.identity
        return {
            "protocol": identity.version,
            "configuration": configuration_name(identity.fingerprint),
            "fingerprint": f"{identity.fingerprint:08x}",
            "memory_bytes": identity.memory_bytes,
            "clock_mhz": identity.clock_khz / 1000,
            "packet_bytes": identity.max_payload,
            "window": identity.window,
            "counters": identity.counters,
            "busy": self.state.busy,
            "error": int(self.state.error),
            "state": state_text(self.state),
        }


def configuration(fingerprint: int) -> AcceleratorConfig | None:
    """The preset with that fingerprint, in any arithmetic and for either family of models; None where there is none."""
    for name, arithmetic, bits in itertools.product(PRESETS, KNOWN, PROBABILITY_BITS):
        if (found := config(name, arithmetic).with_probabilities(bits)).fingerprint == fingerprint:
            return found
    return None


def configuration_name(fingerprint: int) -> str | None:
    """`PRESET, ARITHMETIC arithmetic` of that preset, and what it has other than by itself."""
    found = configuration(fingerprint)
    return ", ".join([found.name, f"{found.arithmetic.name} arithmetic", *settings(found)]) if found else None


def state_text(state: MachineState) -> str:
    """`running`, `idle`, or `stopped: WHY`."""
    if state.busy:
        return "running"
    if not state.error:
        return "idle"
    known = state.error in ErrorCode.__members__.values()
    return f"stopped: {ErrorCode(state.error).name if known else f'code {state.error}'}"
