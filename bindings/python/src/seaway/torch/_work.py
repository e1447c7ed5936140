"""One call of a lane that is under way: Task, which the lane holds until it is over, and Work, its face for torch.distributed.

    started --- its ops are final ---> over: error or result, the lane told, then the future's callbacks
        |                                ^
        +-- refused: members differ --> asking: every member gathers what each had called, for the words of the error

Whoever sees first that the ops are final takes the step: the thread that waits, or the lane's own thread. A Work may be dropped
at any time (DDP keeps the future alone); the memory is held by the Task.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from torch import Tensor
from torch.futures import Future

from seaway._errors import Aborted, Error, Pending, Refused
from seaway._operation import Operation
from seaway._operation import wait as wait_for_ops
from seaway._result import Result
from seaway.torch._errors import SeawayError, translate

_NO_WEIGHT = "the weights of all contributors sum to 0: there is no mean, and the tensors are as they were; skip this step"

_DIFFER = "calls differ"  # in an error of a transaction, which is never Refused (docs/ERRORS.md)


class Task:
    """One call: its ops, its memory, what became of it. Any thread may call any method.

    Args:
        ops: what was started; of one communicator. Empty: nothing could be, or nothing was to be.
        tensors: what the call was given, and the value of its future.
        swallow: an error goes to the lane, and the caller sees a call that has ended and left the tensors as they were.
        told: called once with the error or None, before anybody sees that the task is over. Must not wait.
        land: called after all ops have committed, to put their results where they belong.
        ask: after an error that says that members differ, starts the op that gathers what each member had called; gives it, and
            what turns its result into words. None: nobody is asked.
        replicas: the replica of each incarnation that may contribute.
        error: why not everything could be started; it is what the task ends with.
        behind: and the others do not know of it.

    Attributes:
        behind: it failed here, and the others may have what it was to bring.
    """

    def __init__(
        self,
        ops: list[Operation],
        tensors: list[Tensor],
        *,
        swallow: bool,
        told: Callable[[Task], None],
        land: Callable[[], None] | None = None,
        ask: Callable[[Error], tuple[Operation, Callable[[], str]] | None] | None = None,
        replicas: dict[int, int] | None = None,
        error: SeawayError | None = None,
        behind: bool = False,
    ) -> None:
        self.tensors = tensors
        self.error = error
        self.behind = behind
        self.results: list[Result] = []
        self.swallow = swallow
        self._ops = ops
        self._told = told
        self._land = land
        self._ask = ask
        self._words: Callable[[], str] | None = None
        self._replicas = replicas or {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._base: Future[Any] | None = None
        self._future: Future[list[Tensor]] | None = None

    # -- the steps ----------------------------------------------------------------------------------------------------

    def advance(self) -> bool:
        """Takes the steps that can be taken now; whether the task is over. Does not wait, but for results to be copied."""
        if self._over.is_set():
            return True
        with self._lock:
            if self._over.is_set():
                return True
            if not all(op.done() for op in self._ops):
                return False
            if self._words is not None:
                self._listen()
            else:
                self._judge()
                if self._words is not None:
                    return False
            self._told(self)
            self._over.set()
            base, self._base = self._base, None
            # The ops are kept by errors that name them; the memory is nobody's any more.
            self._ops, self._land, self._ask = [], None, None
        if base is not None:
            base.set_result(None)
        return True

    def _judge(self) -> None:
        """All ops are final: what became of them."""
        refused: Error | None = None
        for op in self._ops:
            try:
                self.results.append(op.wait(0))
            except Error as error:
                self.error = self.error or translate(error)
                self.behind = self.behind or not isinstance(error, (Aborted, Refused))
                if refused is None and _says_that_members_differ(error):
                    refused = error
        if self.error is None and any(result.outcome == "no_weight" for result in self.results):
            self.error = SeawayError(_NO_WEIGHT)
        if self.error is None:
            try:
                if self._land is not None:
                    self._land()
            except Exception as error:  # of torch's: this thread serves every other task, too
                self.error = SeawayError(f"the result could not be copied into the tensors: {error}")
                self.error.__cause__ = error
                self.behind = True
        elif self._ask is not None and refused is not None:
            asked = self._ask(refused)
            if asked is not None:
                self._ops.append(asked[0])
                self._words = asked[1]

    def _listen(self) -> None:
        """The members' words have come, or did not."""
        assert self._words is not None and self.error is not None
        try:
            self._ops[-1].wait(0)
            self.error = translate(self.error, f"{self.error.text}\n{self._words()}")
        except Error:
            pass  # the library's own words have to do

    # -- for who waits ------------------------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> None:
        """Until the task is over. Raises SeawayError of Pending when `timeout` seconds have passed; the task goes on."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self.advance():
            left = None if end is None else max(0.0, end - time.monotonic())
            # A wait in C does the library's work on this thread, so that a small op needs no other. Its ops may be final and
            # another thread about to say so.
            ops = [op for op in list(self._ops) if not op.done()]
            try:
                if ops:
                    wait_for_ops(ops, timeout=left)
                elif not self._over.wait(0.05) and left == 0:
                    raise Pending("wait: the time-out passed")
            except Pending as error:
                if not self.advance():
                    raise translate(error) from None

    def cancel(self, reason: str) -> None:
        for op in list(self._ops):
            try:
                op.cancel(reason)
            except Error:
                pass  # it is final, or its communicator closed

    def future(self) -> Future[list[Tensor]]:
        """The task's future, always the same. It fails through a `then` that raises: an exception that is set on a future of
        Python's becomes a value in C++, which DDP's reducer reads as tensors."""
        with self._lock:
            if self._future is not None:
                return self._future
            base: Future[Any] = Future()
            future = self._future = base.then(self._value)
            if not self._over.is_set():
                self._base = base
                return future
        base.set_result(None)
        return future

    def _value(self, _: Future[Any]) -> list[Tensor]:
        if self.error is not None and not self.swallow:
            raise self.error
        return self.tensors

    def contributors(self) -> list[int]:
        """The replicas that are in every one of the results, by roster order."""
        lists = [[self._replicas.get(each.peer, each.peer) for each in result.contributors] for result in self.results]
        if not lists:
            return []
        return [replica for replica in lists[0] if all(replica in others for others in lists[1:])]


def _says_that_members_differ(error: Error) -> bool:
    return isinstance(error, Refused) or (isinstance(error, Aborted) and _DIFFER in error.text)


class Work(dist.Work):
    """A call of a lane, as torch.distributed knows it. Any thread may call any method; it may be dropped at any time.

    The tensors are the library's until the Work is over. Those of a call that failed are as they were before it.

    How a call that failed shows depends on its `on_error`: with "raise", `wait` raises a SeawayError and the future fails; with
    "record", both end as if it had not, and the error waits in `Lane.error()` for the vote after backward.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._task = task

    def wait(self, timeout: timedelta = timedelta(0)) -> bool:
        """Waits until the call is over.

        Args:
            timeout: 0 or less: as long as it takes, which the lane's own `timeout` bounds.

        Returns:
            True.

        Raises:
            SeawayError: of the class seaway.Pending when the time-out passed (the call goes on, and so does its claim on the
                tensors), of another when it failed.
        """
        seconds = timeout.total_seconds()
        self._task.wait(seconds if seconds > 0 else None)
        error = self._task.error
        if error is not None and not self._task.swallow:
            raise error
        return True

    def synchronize(self) -> None:
        """`wait()`."""
        self.wait()

    def get_future(self) -> Future[list[Tensor]]:
        """The future of this call, always the same one: its value is the list of the tensors. Callbacks run on the lane's own
        thread, or on one that waits for this Work; they must not wait for other futures."""
        return self._task.future()

    def is_completed(self) -> bool:
        """Whether it is over, in whatever way."""
        return self._task.advance()

    def is_success(self) -> bool:
        """Whether it is over and every tensor has its result; also with on_error="record"."""
        return self._task.advance() and self._task.error is None

    def exception(self) -> SeawayError | None:
        """Why it failed; None while it is not over, and when it did not."""
        return self._task.error if self._task.advance() else None

    def result(self) -> list[Tensor]:
        """The tensors, after `wait()`."""
        self.wait()
        return self._task.tensors

    @property
    def contributors(self) -> list[int]:
        """The numbers of the replicas whose tensors are in the result, in roster order; empty until the call has ended well."""
        return self._task.contributors() if self._task.advance() else []

    @property
    def results(self) -> Sequence[Result]:
        """What seaway says of the call's ops: one, or one for each dtype among its tensors. Empty until it is over."""
        return tuple(self._task.results) if self._task.advance() else ()
