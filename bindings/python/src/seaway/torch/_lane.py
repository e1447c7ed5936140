"""Lane: what a rank of a replica does together with its like in all other replicas.

Ops of one tag match by their order, so the lanes of one step must not fall out of step with one another, whatever fails:

    what fails                                   where it shows             what this rank does
    an op, for the group (Refused, Aborted)      at every member            goes on posting: the others do
    this rank's call (a dtype, no memory)        here alone                 ends it for everybody: aborts the step's transaction,
                                                                            or posts a marker in the op's place, which is Refused
    this rank's membership (Evicted, closed)     here alone                 nothing: its op goes on over the others
    this rank's copy of a result that counts     here alone                 as above: it is behind the others

In the first two cases every member of the lane fails the same step, and of a transaction all lanes do; every replica's vote sees it,
and all of them skip the step. In the others this rank is *behind*: its replica leaves, and comes back for the others' state.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.futures import Future

from seaway import _digest
from seaway._communicator import Communicator
from seaway._errors import Error
from seaway._operation import Operation
from seaway._options import Codec
from seaway._view import Member, View
from seaway.torch._buffers import as_bytes
from seaway.torch._completion import Completion
from seaway.torch._errors import SeawayError, invalid, other, translate
from seaway.torch._staging import Prepared
from seaway.torch._tags import NAMES, USER_TAGS
from seaway.torch._transaction import StepTransaction
from seaway.torch._work import Task, Work

logger = logging.getLogger("seaway.torch")

_ON_ERROR = ("raise", "record")
_MARKER_LAYOUT = 0x6661696C  # of no call
_WORDS_BYTES = 2048  # of what a member had called
_WORDS_SECONDS = 5.0


def digest(*parts: object) -> int:
    """64 bits over what must be equal on all members, the same in every process."""
    return _digest.digest("\0".join(str(part) for part in parts))


def epoch_number(view: View) -> int:
    """An epoch as one number: it only rises."""
    return view.epoch.term << 32 | view.epoch.number


class Lane:
    """What a rank of a replica does together with the ranks of the same number in all other replicas.

        comm = seaway.Communicator(join, replica=site, lane=rank, lanes=ranks_per_site)
        lane = seaway.torch.Lane(comm)

    One object for the life of the process: replicas come and go behind it. The lane is no process group of torch's; inside of a
    replica a default process group of its own, with its own store, serves FSDP2. Any thread may call any method; the ops of one
    tag are started by one thread at a time, in the same order on all members.

    Args:
        comm: the communicator, joined. It is closed when the interpreter exits, if nobody did before.
        on_loss: "resume": when a replica is lost in the middle of an op, the others commit over the survivors. "fail": the op
            ends Aborted on all of them instead. The same on all members.
        timeout: seconds without any byte of an op, after which the master decides it: committed if everyone holds the result,
            else Aborted. None: no limit, and a slow replica is waited for. Below the time-out of the replica's own process
            group (30 minutes unless it was set), or that ends first.

    Attributes:
        comm: the communicator.
        on_loss: as given.
        skipped: why the last `step` was skipped on this rank; None if it was not, or not because of this rank.
        staged_bytes: bytes that were copied because a tensor was not contiguous, on a device that the library does not reach, or
            elsewhere than others of its dtype; 0 is what one wants.
    """

    def __init__(self, comm: Communicator, *, on_loss: str = "resume", timeout: float | None = None) -> None:
        if on_loss not in ("resume", "fail"):
            raise invalid(f"on_loss is {on_loss!r}; give one of resume, fail")
        self.comm = comm
        self.on_loss = on_loss
        self.skipped: SeawayError | None = None
        self.staged_bytes = 0
        self._timeout = timeout
        self._lock = threading.Lock()
        self._error: SeawayError | None = None
        self._behind = False
        self._begun: list[StepTransaction] = []  # of which some may be closed
        self._contributors: list[int] = []
        self._buckets: list[tuple[Tensor, str, Future[Tensor]]] = []  # of a backward of DDP, until the last
        self._groups = 0
        self._names: dict[int, str] = {}
        self._named: list[nn.Module] = []
        self._replicas_of: tuple[View | None, dict[int, int]] = (None, {})
        self._completion = Completion(comm)

    # -- membership ---------------------------------------------------------------------------------------------------

    def update(self, timeout: float | None = None) -> int:
        """The one point of the program where other replicas join: call it once per step, outside of forward and backward, on
        every rank. Free when nobody waits to join.

        Args:
            timeout: seconds; 0 polls; None or a negative number waits as long as it takes.

        Returns:
            The epoch from here on, as one number that only rises.

        Raises:
            SeawayError: of the class seaway.Pending when the time-out passed (call again); seaway.Evicted or seaway.NotMember
                when this replica is no member any more: `comm.join()`, on all its ranks, and fetch the others' state.
        """
        self._abandon()
        try:
            return epoch_number(self.comm.update(timeout))
        except Error as error:
            raise translate(error) from None

    def size(self) -> int:
        """How many replicas are members, as this rank knows it now."""
        return int(self._asked(lambda: self.comm.world_size))

    def members(self) -> list[Member]:
        """This rank's like in each replica, itself included, by the number of the replica."""
        view = self._asked(lambda: self.comm.view)
        own = next(member.lane for member in view.members if member.peer == view.me)
        return sorted((member for member in view.members if member.lane == own), key=lambda member: member.replica)

    def rank(self) -> int:
        """The position of this replica in `members()`, now."""
        view = self._asked(lambda: self.comm.view)
        return next(i for i, member in enumerate(self.members()) if member.peer == view.me)

    def contributors(self) -> list[int]:
        """The numbers of the replicas that are in the last average or other op of this lane that committed."""
        return list(self._contributors)

    # -- collectives --------------------------------------------------------------------------------------------------

    def all_reduce(
        self,
        tensors: Sequence[Tensor],
        op: str = "avg",
        *,
        weight: float = 1.0,
        tag: int = 0,
        layout: int = 0,
        timeout: float | None = None,
        on_error: str = "raise",
        names: Sequence[str] | None = None,
        codec: Codec = None,
    ) -> Work:
        """Starts to reduce tensors over all members, in place, and returns at once. Those of one dtype are one op with one
        commit. They are the library's until the Work is over.

        Args:
            tensors: on every member as many, of the same sizes and dtypes. Of a DTensor the local shard is reduced. On CUDA
                devices they are read where they are, after torch's current stream, and written there; when the Work is over the
                result is there for every stream. What is not contiguous, or where the library does not reach, is copied, there
                and back (`staged_bytes`).
            op: "avg" (over exactly those that contribute), "sum", "min", "max" or "prod".
            weight: of this replica's tensors, for "avg": the mean is sum(weight * x) / sum(weight).
            tag: below 2**60; ops of one tag match by their order.
            layout: a number that must be equal on all members, such as a hash of names. Shapes and the count of updates are
                compared anyway.
            timeout: as that of the lane, for this call.
            on_error: "raise": `Work.wait` raises. "record": it does not, the tensors are as they were, and the error waits in
                `error()`: for what runs inside of backward, where one rank must not raise alone.
            names: of the tensors, for the words of an error: when members differ, it shows what each had called.
            codec: how tensors of float32 travel, as in `Communicator.all_reduce`; the same on all members.

        Raises:
            SeawayError: with on_error="raise", when the call is wrong or could not be started; the others wait in that op
                until this rank starts it, or leaves.
        """
        _check_tag(tag)
        return self._reduce(list(tensors), op, weight, tag, layout, timeout, on_error, names, codec)

    def broadcast(
        self,
        tensors: Sequence[Tensor],
        root: Member | int,
        *,
        tag: int = 0,
        layout: int = 0,
        timeout: float | None = None,
        on_error: str = "raise",
    ) -> Work:
        """Starts to copy the root's tensors into everybody's, and returns at once. Those of one dtype are one op. If the root is
        lost before all have the data, it ends Aborted and the others' tensors are undefined.

        Args:
            root: a Member, or a position in `members()`, which is the same everywhere only if nobody was lost since.
            tensors, tag, layout, timeout, on_error: as in `all_reduce`.
        """
        _check_tag(tag)
        return self._broadcast(list(tensors), root, tag, layout, timeout, on_error)

    # -- errors -------------------------------------------------------------------------------------------------------

    def error(self) -> SeawayError | None:
        """The first error since `clear()`: of a call that failed here, also where nothing was raised."""
        return self._error

    def quiesce(self, timeout: float | None = None) -> None:
        """Waits until nothing of this lane is under way: only then may the tensors of a failed step be written again. Does not
        raise what became of the calls; `error()` says it. An `Overlap` that was armed and not waited for is aborted, for everybody.

        Raises:
            SeawayError: of the class seaway.Pending when `timeout` seconds have passed. Nothing has ended.
        """
        self._abandon()
        for task in self._completion.tasks():
            task.wait(timeout)

    def clear(self) -> None:
        """Forgets `error()`, when the step that failed was thrown away on all ranks of the replica, and what a backward of DDP left
        that did not come to its end. `step` does it."""
        with self._lock:
            self._error = None
            self._behind = False
        self._buckets = []

    def cancel(self, reason: str = "cancelled by a lane") -> None:
        """Asks the master to end what is under way in this lane, for everybody: committed where everyone holds the result
        already, else Aborted. Returns at once; `quiesce()` waits for what was decided."""
        for task in self._completion.tasks():
            task.cancel(reason)

    def close(self) -> None:
        """Closes the communicator, without asking anybody (`comm.leave()` before it is friendlier), and ends the lane's thread.
        May be called again; the interpreter's exit does it."""
        self._completion.close()

    def name_parameters(self, module: nn.Module) -> None:
        """Tells the lane the names of a module's parameters, for `comm_hook`. The module is kept."""
        self._named.append(module)
        for name, parameter in module.named_parameters():
            self._names[id(parameter)] = name

    def name_of(self, parameter: Tensor) -> str:
        """The name of a parameter. Raises InvalidError if `name_parameters` has not told it."""
        name = self._names.get(id(parameter))
        if name is None:
            raise invalid("a parameter has no name here; call lane.name_parameters(model) before the first backward")
        return name

    def __repr__(self) -> str:
        return f"<seaway.torch.Lane of {self.comm!r}, error {self._error!r}>"

    # -- for this package ---------------------------------------------------------------------------------------------

    def _asked(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except Error as error:
            raise translate(error) from None

    def _record(self, error: SeawayError, *, behind: bool = False) -> None:
        """behind: the others may have what this rank has not."""
        with self._lock:
            self._behind = self._behind or behind
            if self._error is None:
                self._error = error

    def _told(self, task: Task) -> None:
        self._completion.remove(task)
        if task.error is not None:
            self._record(task.error, behind=task.behind)
        elif task.results:
            self._contributors = task.contributors()

    def _replicas(self) -> dict[int, int]:
        view = self.comm._view
        known, replicas = self._replicas_of
        if view is not known and view is not None:
            replicas = {member.peer: member.replica for member in view.members}
            self._replicas_of = (view, replicas)
        return replicas

    def _layout(self, *parts: object) -> int:
        view = self.comm._view
        # A member that is an update ahead or behind reduces another step: never mix the two.
        return digest(view.update_count if view is not None else 0, *parts)

    def _begin(self) -> StepTransaction:
        """A transaction for the ops of a step, or of a part of it."""
        self._begun = [each for each in self._begun if not each.closed]
        self._begun.append(StepTransaction(self.comm, self.on_loss, self._timeout))
        return self._begun[-1]

    def _abandon(self) -> None:
        """Aborts what a step left open, as something was raised in it: everybody waits for its close."""
        for each in self._begun:
            each.abort(self._had("less than its step has: that ended before all its ops had been started"))
            each.close()
        self._begun = []

    def _prepare(self, tensors: Iterable[Tensor], names: Sequence[str] | None = None) -> Prepared:
        prepared = Prepared(tensors, names)
        self.staged_bytes += prepared.staged_bytes
        return prepared

    def _reduce(
        self,
        tensors: list[Tensor],
        op: str,
        weight: float,
        tag: int,
        layout: int,
        timeout: float | None,
        on_error: str,
        names: Sequence[str] | None,
        codec: Codec = None,
        transaction: StepTransaction | None = None,
        marks: Tensor | None = None,
    ) -> Work:
        """marks: bytes, of which everybody gets the maximum of all members in an op of the same call."""
        described = ", ".join(names) if names is not None else ", ".join(f"{t.dtype}{list(t.shape)}" for t in tensors)
        started: list[Operation] = []
        prepared: list[Prepared] = []

        def start() -> None:
            ready = self._prepare(tensors, names)
            prepared.append(ready)
            # A weight always, as members must agree whether there is one.
            weighs = weight if op == "avg" else None
            calls = [(pieces, op, weighs, codec if pieces[0].dtype == torch.float32 else None) for pieces in ready.by_dtype]
            if marks is not None:
                calls.append(([marks], "max", None, None))
            for pieces, how, weighs, travels in calls:
                started.append(
                    self.comm.all_reduce_async(
                        pieces,
                        op=how,
                        tag=tag,
                        weight=weighs,
                        on_loss=self.on_loss,
                        layout=self._layout(layout, how),
                        timeout=timeout or self._timeout,
                        transaction=None if transaction is None else transaction.opened(),
                        codec=travels,
                    )
                )

        def fail(error: SeawayError) -> bool:
            if transaction is not None:
                return transaction.abort(self._had(f"an error: {error.text}"))
            return self._mark(started, _dtypes(tensors), tag)

        return self._start(start, started, tensors, on_error, lambda: prepared[0].land(), described, fail)

    def _broadcast(
        self, tensors: list[Tensor], root: Member | int, tag: int, layout: int, timeout: float | None, on_error: str
    ) -> Work:
        started: list[Operation] = []
        prepared: list[Prepared] = []

        def start() -> None:
            member = root if isinstance(root, Member) else self.member(root, "root")
            ready = self._prepare([as_bytes(t) for t in tensors])
            prepared.append(ready)
            for pieces in ready.by_dtype:
                started.append(
                    self.comm.broadcast_async(
                        pieces, member, tag=tag, layout=self._layout(layout), timeout=timeout or self._timeout
                    )
                )

        return self._start(start, started, tensors, on_error, lambda: prepared[0].land(), None, lambda _: self._mark(started, 1, tag))

    def member(self, index: int, name: str = "rank") -> Member:
        """The member at a position in `members()`. Raises InvalidError if there is none."""
        members = self.members()
        if not 0 <= index < len(members):
            raise invalid(f"{name} is {index}; the lane has {len(members)} members")
        return members[index]

    def _start(
        self,
        start: Callable[[], None],
        started: list[Operation],
        tensors: list[Tensor],
        on_error: str,
        land: Callable[[], None] | None,
        described: str | None,
        fail: Callable[[SeawayError], bool],
    ) -> Work:
        """Runs start(), which appends to `started` the ops of one call. If it raises: fail(), which lets the call fail for the others,
        too, and gives whether that was possible."""
        if on_error not in _ON_ERROR:
            raise invalid(f"on_error is {on_error!r}; give one of {', '.join(_ON_ERROR)}")
        failed: SeawayError | None = None
        behind = False
        try:
            start()
        except Exception as error:  # torch's, too: it has no memory for a copy
            failed = translate(error) if isinstance(error, Error) else other(error)
            if on_error == "raise":
                self._record(failed)
                raise failed from failed.__cause__
            described = f"an error: {failed.text}"
            behind = not fail(failed)
        task = Task(
            started,
            tensors,
            swallow=on_error == "record",
            told=self._told,
            land=land,
            ask=None if described is None else lambda refused: self._ask(refused, described),
            replicas=self._replicas(),
            error=failed,
            behind=behind,
        )
        self._completion.add(task)
        return Work(task)

    def _mark(self, started: list[Operation], expected: int, tag: int) -> bool:
        """In place of ops that could not be started, some that agree with none, so that the others do not wait for them."""
        try:
            while len(started) < expected:
                marker = torch.zeros(1, dtype=torch.uint8)
                started.append(self.comm.all_reduce_async(marker, op="max", tag=tag, layout=_MARKER_LAYOUT))
        except Error:
            return False  # no member any more: nobody waits for this rank
        return True

    def _had(self, words: str) -> str:
        view = self.comm._view
        own = self._replicas().get(view.me, "?") if view is not None else "?"
        return f"replica {own} called with {words}"

    def _ask(self, refused: Error, described: str) -> tuple[Operation, Callable[[], str]] | None:
        """Gathers what each member had called. All of them do, as all of them were refused."""
        try:
            members = {member.peer: member.replica for member in self.comm.members}
            blocks = self.comm.view.blocks
            mine = torch.zeros(_WORDS_BYTES, dtype=torch.uint8)
            text = described.encode()[:_WORDS_BYTES]
            mine[: len(text)] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
            theirs = torch.zeros(len(blocks) * _WORDS_BYTES, dtype=torch.uint8)
            gathering = self.comm.all_gather_async(
                mine, theirs, tag=NAMES, layout=digest(refused.tag, refused.seq), deadline=_WORDS_SECONDS
            )
        except Error:
            return None

        def words() -> str:
            said = []
            for i, peer in enumerate(blocks):
                text = bytes(theirs[i * _WORDS_BYTES : (i + 1) * _WORDS_BYTES].tolist()).rstrip(b"\0")
                if text:
                    who = f"replica {members[peer]}" if peer in members else f"peer {peer:#x}"
                    said.append(f"{who} called with {text.decode('utf-8', 'replace')}")
            return "\n".join(said)

        return gathering, words


def _check_tag(tag: int) -> None:
    if not isinstance(tag, int) or not 0 <= tag < USER_TAGS:
        raise invalid(f"tag is {tag!r}; give a number below 2**60")


def _dtypes(tensors: Sequence[Tensor]) -> int:
    return len({t.dtype for t in tensors})
