"""One op that was started."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any

from seaway._errors import Closed, InvalidError, Pending, last_error, make_error
from seaway._library import OK, PENDING, ffi, lib
from seaway._result import Result, new_result
from seaway._waiting import wait_handles

if TYPE_CHECKING:
    from seaway._communicator import Communicator

_new = ffi.new


class Operation:
    """One op that was started: `Communicator.all_reduce_async` and the like return it.

    Its arrays belong to the library until it is final, that is until `wait` returns or raises anything but Pending, or
    `done()` is true. Read the input meanwhile if you like; do not write to it, and do not look at the output. The Operation,
    and after it the communicator, keeps the arrays alive; you may drop both.

    Any thread may call any method. In a coroutine: `result = await op`.
    """

    __slots__ = ("_comm", "_doing", "_handle", "_keep", "_pointer", "_result", "_status", "__weakref__")

    def __init__(self, comm: Communicator, pointer: Any, keep: Any, doing: str) -> None:
        self._comm = comm
        self._pointer = pointer  # seaway_op *[1]: what seaway_wait takes
        self._handle = pointer[0]
        self._keep = keep
        self._doing = doing
        self._status: int = PENDING
        self._result: Result | None = None

    def done(self) -> bool:
        """Whether the op is final: committed or failed. Does not wait and does not raise."""
        return self._status != PENDING or self._look() != PENDING

    def wait(self, timeout: float | None = None) -> Result:
        """Waits until the op is final and returns what became of it.

        Args:
            timeout: seconds; 0 polls; None or a negative number waits as long as it takes. Ctrl-C interrupts the wait.

        Raises:
            Pending: the time-out passed; the op goes on, and so does its claim on the arrays.
            Refused, Aborted, Evicted, Undecided, ...: the op failed; the input is intact, in place too.
        """
        if self._status == PENDING:
            status = wait_handles(self._pointer, 1, lib.SEAWAY_ALL, timeout)
            if status == PENDING:
                details = last_error(op=self._handle)
                error = make_error(PENDING, self._doing, details, self)
                if isinstance(error, Pending) and details is not None:
                    error.phase = details.phase
                raise error
            if status != OK:
                raise make_error(status, self._doing, last_error(op=self._handle), self)
            self._look()
        result = self._result
        if result is None:
            raise make_error(self._status, self._doing, last_error(op=self._handle), self)
        return result

    def cancel(self, reason: str | None = None) -> None:
        """Asks the master to end the op for everybody: committed if everyone already holds the result, else aborted. Returns
        at once; `wait` says what was decided. Without a master in reach the request waits for one.

        Args:
            reason: words that the other members see, or None.
        """
        status = lib.seaway_cancel(self._handle, ffi.NULL if reason is None else reason.encode())
        if status != OK:
            raise make_error(status, "cancel", last_error(op=self._handle), self)

    def __await__(self) -> Generator[Any, None, Result]:
        if not self.done():
            try:
                watch = self._comm._watch(asyncio.get_running_loop())
            except Closed:
                return self.wait()  # another thread closes the communicator, which ends this in a moment
            yield from watch.future(self).__await__()
        return self.wait(0)

    def __repr__(self) -> str:
        if not self.done():
            return f"<seaway.Operation {self._doing}, pending>"
        if self._result is not None:
            return f"<seaway.Operation {self._doing}, {self._result!r}>"
        return f"<seaway.Operation {self._doing}, {make_error(self._status, self._doing).name}>"

    def _look(self) -> int:
        """seaway_test; when the op is final, keeps what became of it and lets the arrays go."""
        struct, room = new_result(self._comm._capacity)
        status: int = lib.seaway_test(self._handle, struct)
        if status == PENDING:
            return status
        if status == OK:
            more = max(struct.contributor_count, struct.lost_count)
            if more > self._comm._capacity:
                struct, room = new_result(more)
                lib.seaway_test(self._handle, struct)
            self._result = Result(struct, room)
        # The order matters to another thread in done() or wait(): the result is there before the status says so.
        self._status = status
        self._keep = None
        return status

    def __del__(self) -> None:
        # An op that is not final keeps writing to its arrays: the communicator takes it, and them, over.
        if self._status == PENDING and lib.seaway_test(self._handle, ffi.NULL) == PENDING:
            self._comm._adopt(self._pointer, self._keep)
        else:
            lib.seaway_free(self._handle)


def wait(ops: Iterable[Operation], any: bool = False, timeout: float | None = None) -> list[Operation]:
    """Waits until all of the ops (or with any=True, at least one) are final, and returns those that are, in the order given.

    A failed op is final too, and does not raise here: ask each for its own `wait()`.

    Args:
        ops: Operations of one communicator, at least one.
        any: return as soon as one is final.
        timeout: seconds; 0 polls; None or a negative number waits as long as it takes.

    Raises:
        Pending: the time-out passed first. The ops go on.
        InvalidError: no op was given, or ops of several communicators.
    """
    wanted = list(ops)
    if not wanted:
        raise InvalidError("ops is empty")
    handles = _new("seaway_op *[]", [op._handle for op in wanted])
    status = wait_handles(handles, len(wanted), lib.SEAWAY_ANY if any else lib.SEAWAY_ALL, timeout)
    if status != OK:
        raise make_error(status, "wait", last_error(comm=wanted[0]._comm._handle) if status != PENDING else None)
    return [op for op in wanted if op.done()]
