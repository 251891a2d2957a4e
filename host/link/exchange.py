"""Requests over a channel that loses bytes: a window, resending, time-outs. docs/link.md, "Once and in order"."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateware.link.framing import DELIMITER, frame
from gateware.link.packets import WINDOW, Answer, Command, Request, Status
from host.link.deframer import Deframer
from host.link.errors import LinkError, NoAnswer, SessionLost
from host.link.transport import Transport

__all__ = ["Exchange", "Order", "Statistics"]

NUMBERS = 256
NOT_LOOKED_AT = (Status.OUT_OF_ORDER, Status.WRONG_SESSION)


@dataclass(frozen=True)
class Order:
    """A request to be made: `Request` without session and number; ``expected``: bytes of the answer's payload."""

    command: Command
    address: int = 0
    payload: bytes = b""
    length: int | None = None
    expected: int | None = 0


@dataclass
class Statistics:
    """Since the exchange was made. ``resent`` are among the ``sent``; ``damaged`` came back so."""

    sent: int = 0
    resent: int = 0
    timeouts: int = 0
    damaged: int = 0


class Exchange:
    """Carries requests out in their order, each once, and returns their answers.

    Parameters
    ----------
    transport : what carries the bytes
    timeout : seconds without a new answer after which everything unanswered goes out again
    attempts : how often in a row that may happen
    window : requests under way at most
    random_session : a session's number, 1 to 65535
    """

    def __init__(
        self,
        transport: Transport,
        timeout: float = 0.25,
        attempts: int = 8,
        window: int = WINDOW,
        random_session: Callable[[], int] = lambda: 1 + secrets.randbelow(0xFFFF),
    ) -> None:
        if not timeout > 0:
            raise LinkError(f"The link's time-out must be positive, not {timeout}: 0.25 is usual.")
        if attempts < 1 or not 1 <= window <= WINDOW:
            raise LinkError(
                f"The link needs 1 attempt or more and a window of 1 to {WINDOW}, not {attempts} and {window}."
            )
        self._transport, self._timeout, self._attempts, self._window = transport, timeout, attempts, window
        self._random_session = random_session
        self._deframer = Deframer()
        self._session: int | None = None
        self._last_session: int | None = None
        self._following = 0
        self.statistics = Statistics()

    def open(self) -> None:
        """Begins a session; anything that an earlier one left on the line is dropped. Raises as `carry_out`."""
        session = self._random_session()
        self._session = session if session != self._last_session else session % 0xFFFF + 1
        self._last_session = self._session
        self._following = 0
        self._deframer.clear()
        self.carry_out([Order(Command.OPEN)])

    @property
    def is_open(self) -> bool:
        """Whether there is a session, and it has not failed."""
        return self._session is not None

    def carry_out(self, orders: Sequence[Order]) -> list[Answer]:
        """The answers, in order; refusals are answers.

        An order whose answer's payload was lost is made again, so the orders of one call that expect payloads must not
        depend on others between them.

        Raises
        ------
        NoAnswer : nothing new came, `attempts` times `timeout` in a row
        SessionLost : the device is in another session, or this one was never opened or has failed
        TransportError : the channel is gone
        """
        answers: dict[int, Answer] = {}
        pending, fruitless = list(range(len(orders))), 0
        while pending:
            for place, answer in zip(pending, self._in_order([orders[place] for place in pending]), strict=True):
                expected = orders[place].expected
                # One without the payload that it should have had: that is gone, and the order is made anew.
                if answer.status != Status.DONE or expected in (None, len(answer.payload)):
                    answers[place] = answer
                elif answer.payload:
                    raise LinkError(
                        f"The device answered {len(answer.payload)} bytes and not {expected}: its gateware is of "
                        "another version."
                    )
            left = [place for place in pending if place not in answers]
            fruitless = fruitless + 1 if left == pending else 0
            if fruitless >= self._attempts:
                raise NoAnswer(
                    f"The device's answers are lost, {fruitless} times in a row: check the cable and the baud rate."
                )
            pending = left
        return [answers[place] for place in range(len(orders))]

    def _in_order(self, orders: Sequence[Order]) -> list[Answer]:
        if self._session is None:
            raise SessionLost("There is no open session with the device: open one.")
        run = _Run(orders, self._session, self._following)
        silent, deadline = 0, self._transport.now() + self._timeout
        try:
            while run.oldest < len(orders):
                self._send(run)
                waiting = 0.0 if run.may_send(self._window) else max(0.0, deadline - self._transport.now())
                if self._receive(run, waiting):
                    silent, deadline = 0, self._transport.now() + self._timeout
                elif self._transport.now() >= deadline:
                    silent, deadline = silent + 1, self._transport.now() + self._timeout
                    self.statistics.timeouts += 1
                    if silent >= self._attempts:
                        raise NoAnswer(
                            f"The device does not answer ({silent} times {self._timeout} s, "
                            f"{self.statistics.damaged} damaged packets so far): check the cable, the baud rate and "
                            "that its gateware is loaded."
                        )
                    run.go_back()
        except BaseException:
            self._session = None  # what the device has carried out is unknown from here on
            raise
        self._following = (self._following + len(orders)) % NUMBERS
        return [run.answers[place] for place in range(len(orders))]

    def _send(self, run: _Run) -> None:
        """The next request, if the window has room for it."""
        if not run.may_send(self._window):
            return
        again, request = run.next_request()
        self.statistics.sent += 1
        self.statistics.resent += again
        # Whatever was left of a frame ends before one that is sent again, or begins a session.
        lead = bytes([DELIMITER]) if again or request.command == Command.OPEN else b""
        self._transport.write(lead + frame(request.to_bytes()))

    def _receive(self, run: _Run, seconds: float) -> bool:
        """Whether something new came."""
        new = False
        for answer in self._deframer.feed(self._transport.read(seconds)):
            if answer.session != run.session:
                # While a session opens, the device may still be answering the one before.
                if answer.status == Status.WRONG_SESSION and run.orders[0].command != Command.OPEN:
                    raise SessionLost(
                        "The device has forgotten this session: it was restarted, or another program has opened it; "
                        "connect anew and load it again."
                    )
                continue
            new |= run.take(answer)
        self.statistics.damaged = self._deframer.damaged
        return new


class _Run:
    """Where each order of a call stands."""

    def __init__(self, orders: Sequence[Order], session: int, first: int) -> None:
        self.orders, self.session, self.first = orders, session, first
        self.answers: dict[int, Answer] = {}
        self.oldest = 0  # without an answer
        self._sent = 0  # how many were sent ever
        self._again: deque[int] = deque()  # to be sent again, before others
        self._missed: set[int] = set()  # answers that were found missing since the last time-out
        self._gap = -1  # the request that the device said it lacks, and that has gone out again since

    def may_send(self, window: int) -> bool:
        return bool(self._again) or self._sent < min(len(self.orders), self.oldest + window)

    def next_request(self) -> tuple[bool, Request]:
        """Whether it was sent before, and the request."""
        again = bool(self._again)
        place = self._again.popleft() if again else self._sent
        self._sent = max(self._sent, place + 1)
        order = self.orders[place]
        number = (self.first + place) % NUMBERS
        return again, Request(self.session, number, order.command, order.address, order.payload, order.length)

    def go_back(self) -> None:
        """Everything without an answer goes out again, in order."""
        self._send_again(self.oldest, self._sent)
        self._missed.clear()
        self._gap = -1

    def take(self, answer: Answer) -> bool:
        """Whether it answers something."""
        place = self._place(answer.sequence)
        if place is None:
            return False
        if answer.status in NOT_LOOKED_AT:
            # The device says so for every request behind a lost one; to go back once is enough.
            following = self._place(answer.following)
            if following is not None and following != self._gap:
                self._send_again(following, self._sent)
                self._gap = following
            return False
        if place in self.answers:
            return False
        self.answers[place] = answer
        # Answers come in order: those that are missing before it are lost.
        missing = [
            earlier
            for earlier in range(self.oldest, place)
            if earlier not in self.answers and earlier not in self._missed
        ]
        self._missed.update(missing)
        self._again.extend(missing)
        while self.oldest in self.answers:
            self.oldest += 1
        return True

    def _send_again(self, first: int, end: int) -> None:
        self._again = deque(place for place in range(first, end) if place not in self.answers)

    def _place(self, number: int) -> int | None:
        """Of a request that was sent and may be without an answer."""
        place = self.oldest + (number - self.first - self.oldest) % NUMBERS
        return place if place < self._sent else None
