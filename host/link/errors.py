"""What can go wrong on the link, each as a sentence for the user."""

from __future__ import annotations

from gateware.isa import ERROR_SENTENCES
from gateware.link.packets import ErrorCode, MachineState, Status
from host.command.errors import HostError

__all__ = ["LinkError", "MachineStopped", "NoAnswer", "RequestRefused", "SessionLost", "TransportError"]

REASONS = {
    Status.UNKNOWN_COMMAND: "it does not know the command; its gateware is older than this program",
    Status.WRONG_LENGTH: "the length does not fit the command; its gateware is of another version",
    Status.ADDRESS_RANGE: "it reaches outside the device's memory",
    Status.MISALIGNED: "programs begin at multiples of 16 and registers at multiples of 4",
    Status.BUSY: "a program is running; wait for its end, or stop it",
    Status.MEMORY_TIMEOUT: "the device's memory does not respond; bring its controller up first",
    Status.CONTROL_ERROR: "there is no such register",
    Status.CONTROL_TIMEOUT: "the control bus does not respond; check the address and the controller's clock",
}


class LinkError(HostError):
    """Something on the way to or from the device; one sentence."""


class TransportError(LinkError):
    """The port or socket cannot be opened, or has gone."""


class NoAnswer(LinkError):
    """The device does not answer, however often it is asked."""


class SessionLost(LinkError):
    """The device belongs to another session: it was restarted, or opened by somebody else."""


class RequestRefused(LinkError):
    """The device did not carry a request out.

    Members
    -------
    status : why
    """

    def __init__(self, what: str, status: int) -> None:
        known = status in Status.__members__.values()
        reason = REASONS.get(Status(status)) if known else None
        super().__init__(f"The device refused to {what}: {reason or f'its reason has the unknown code {status}'}.")
        self.status = Status(status) if known else status


class MachineStopped(LinkError):
    """A program came to an early end.

    Members
    -------
    state : the machine's
    """

    def __init__(self, state: MachineState) -> None:
        known = state.error in ErrorCode.__members__.values()
        reason = ERROR_SENTENCES.get(ErrorCode(state.error)) if known else None
        super().__init__(f"The machine stopped: {reason or f'its reason has the unknown code {state.error}'}.")
        self.state = state
