"""Requests over a channel that loses bytes: a window, resending, time-outs. docs/link.md, "Once and in order"."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gateware.config import BEAT_BYTES
from gateware.link.framing import DELIMITER, frame
from gateware.link.packets import MAX_PAYLOAD, WINDOW, Answer, Command, Request, Status
from host.link.deframer import Deframer
from host.link.errors import LinkError, NoAnswer, SessionLost
from host.link.transport import Transport
from host.link.window import NUMBERS, Order, Run

__all__ = ["ATTEMPTS", "TIMEOUT", "Exchange", "Statistics"]

TIMEOUT = 0.125
"""Seconds; more than the device ever takes (42 ms), a window on the line (27 ms) and a USB bridge (16 ms)."""
ATTEMPTS = 16

LEAST_SETBACKS = 5
"""Pieces are too long for the line when more setbacks than this and two for each piece that got through have come."""
CLEAN, TRIED = 64, 256
"""Longer pieces are tried again after so many without a setback, or so many in any case."""


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
    timeout : seconds without a new answer after which the device is asked whether everything unanswered is lost
    attempts : how often in a row that may happen
    window : requests under way at most
    random_session : a session's number, 1 to 65535

    Members
    -------
    piece : bytes, a multiple of 16, that a request of a long transfer should carry: fewer on a line that damages more
    """

    def __init__(
        self,
        transport: Transport,
        timeout: float = TIMEOUT,
        attempts: int = ATTEMPTS,
        window: int = WINDOW,
        random_session: Callable[[], int] = lambda: 1 + secrets.randbelow(0xFFFF),
    ) -> None:
        if not timeout > 0:
            raise LinkError(f"The link's time-out must be positive, not {timeout}: {TIMEOUT} is usual.")
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
        self.piece = MAX_PAYLOAD // BEAT_BYTES * BEAT_BYTES
        self._clean = self._tried = 0  # pieces since the last setback, and since `piece` changed

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

    @property
    def patience(self) -> float:
        """Seconds without a new answer until it gives up."""
        return self._attempts * self._timeout

    def carry_out(self, orders: Sequence[Order], divisible: bool = False) -> list[Answer]:
        """The answers, in order; refusals are answers.

        An order whose answer's payload was lost is made again, so the orders of one call that expect payloads must not
        depend on others between them.

        Parameters
        ----------
        orders : what is to be done
        divisible : they are pieces of one read or write. Where they are too long for the line, `piece` shrinks and only
            the first orders, perhaps none, have answers; the others may have been carried out, and are to be made again
            in shorter pieces.

        Raises
        ------
        NoAnswer : nothing new came, `attempts` times `timeout` in a row
        SessionLost : the device is in another session, or this one was never opened or has failed
        TransportError : the channel is gone
        """
        answers: dict[int, Answer] = {}
        pending, fruitless = list(range(len(orders))), 0
        while pending:
            found = self._in_order([orders[place] for place in pending], divisible)
            for place, answer in zip(pending, found, strict=False):
                expected = orders[place].expected
                # One without the payload that it should have had: that is gone, and the order is made anew.
                if answer.status != Status.DONE or expected in (None, len(answer.payload)):
                    answers[place] = answer
                elif answer.payload:
                    raise LinkError(
                        f"The device answered {len(answer.payload)} bytes instead of {expected}: its gateware is "
                        "another version."
                    )
            left = [place for place in pending if place not in answers]
            fruitless = fruitless + 1 if left == pending else 0
            if len(found) < len(pending) or (fruitless and divisible and self._shrink()):
                return [answers[place] for place in range(left[0] if left else len(orders))]
            if fruitless >= self._attempts:
                raise NoAnswer(
                    f"The device's answers are lost, {fruitless} times in a row: check the cable and the baud rate."
                )
            pending = left
        return [answers[place] for place in range(len(orders))]

    def _shrink(self) -> bool:
        """Halves the pieces; whether they can be shorter."""
        self._clean = self._tried = 0
        shorter = max(BEAT_BYTES, self.piece // 2 // BEAT_BYTES * BEAT_BYTES)
        shrunk, self.piece = shorter < self.piece, shorter
        return shrunk

    def _grow(self, run: Run) -> None:
        """Longer pieces again, after many that got through."""
        self._tried += len(run.orders)
        self._clean = 0 if run.setbacks else self._clean + len(run.orders)
        if self._clean >= CLEAN or self._tried >= TRIED:
            self._clean = self._tried = 0
            self.piece = min(2 * self.piece, MAX_PAYLOAD // BEAT_BYTES * BEAT_BYTES)

    def _in_order(self, orders: Sequence[Order], divisible: bool) -> list[Answer]:
        """The answers; only the first ones, the session being in step again, where pieces were too long."""
        if self._session is None:
            raise SessionLost("There is no open session with the device: open one.")
        run = Run(orders, self._session, self._following)
        try:
            silent, deadline = 0, self._transport.now() + self._timeout
            while run.oldest < len(orders):
                self._send(run)
                waiting = 0.0 if run.may_send(self._window) else max(0.0, deadline - self._transport.now())
                if self._receive(run, waiting):
                    silent, deadline = 0, self._transport.now() + self._timeout
                elif self._transport.now() >= deadline:
                    silent, deadline = silent + 1, self._transport.now() + self._timeout
                    self.statistics.timeouts += 1
                    if silent >= self._attempts:
                        raise self._no_answer(silent)
                    self._wonder(run)
                if divisible and run.setbacks > LEAST_SETBACKS + 2 * run.oldest and self._shrink():
                    self._following = self._fall_in_step(run)
                    return [run.answers[place] for place in range(run.oldest)]
        except BaseException:
            self._session = None  # what the device has carried out is unknown from here on
            raise
        if divisible:
            self._grow(run)
        self._following = (self._following + len(orders)) % NUMBERS
        return [run.answers[place] for place in range(len(orders))]

    def _fall_in_step(self, run: Run) -> int:
        """The number that the device waits for, everything that was sent before being done or lost.

        Asked under a number that nothing else had: whatever answers it was sent after all others have come.
        """
        number, heard = run.unused, None
        for _ in range(self._attempts):
            self._write_again(Request(run.session, number, Command.STATUS))
            deadline = self._transport.now() + self._timeout
            while self._transport.now() < deadline:
                for answer in self._answers(run, max(0.0, deadline - self._transport.now())):
                    heard = answer if answer.sequence == number else heard
                if heard is not None:
                    return heard.following
            self.statistics.timeouts += 1
        raise self._no_answer(self._attempts)

    def _wonder(self, run: Run) -> None:
        """After a time-out. What was lost is to be sent again, but not what a slow device has yet to handle: that would
        stand in front of what is waited for, and each time more of it. So the device is asked first.
        """
        if run.is_alone:
            run.go_back()
        else:
            self._write_again(run.question())

    def _write_again(self, request: Request) -> None:
        """Outside of the window."""
        self.statistics.sent += 1
        self.statistics.resent += 1
        self._transport.write(bytes([DELIMITER]) + frame(request.to_bytes()))

    def _no_answer(self, times: int) -> NoAnswer:
        return NoAnswer(
            f"The device does not answer ({times} times {self._timeout} s, {self.statistics.damaged} damaged packets "
            f"so far): {self._transport.advice}."
        )

    def _send(self, run: Run) -> None:
        """The next request, if the window has room for it."""
        if not run.may_send(self._window):
            return
        again, request = run.next_request()
        self.statistics.sent += 1
        self.statistics.resent += again
        # Whatever was left of a frame ends before one that is sent again, or begins a session.
        lead = bytes([DELIMITER]) if again or request.command == Command.OPEN else b""
        self._transport.write(lead + frame(request.to_bytes()))

    def _receive(self, run: Run, seconds: float) -> bool:
        """Whether something new came."""
        new = False
        for answer in self._answers(run, seconds):
            if run.is_settled(answer):
                run.go_back()
            else:
                new |= run.take(answer)
        return new

    def _answers(self, run: Run, seconds: float) -> Iterator[Answer]:
        """Those of this session that come in so many seconds, at the first sight of any."""
        for answer in self._deframer.feed(self._transport.read(seconds)):
            if answer.session == run.session:
                yield answer
            # While a session opens, the device may still be answering the one before.
            elif answer.status == Status.WRONG_SESSION and run.orders[0].command != Command.OPEN:
                raise SessionLost(
                    "The device has forgotten this session: it was restarted, or another program has opened it; "
                    "connect and load it again."
                )
        self.statistics.damaged = self._deframer.damaged
