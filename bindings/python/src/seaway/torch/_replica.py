"""The lanes of one replica as one member: what one of them cannot do, none of them does.

Lane j of every replica forms group j, and ops run in groups. An all-reduce is in a transaction, which commits in all lanes of all
replicas or in none. A sync has the same outcome at all live members of its lane, and every replica takes the worst of its lanes'
outcomes: so all replicas decide alike, without a word between them.

    all lanes have it                             it counts
    a lane's was aborted or refused, or the       it counts at no lane of any replica: Aborted, and the same call again may succeed
    lanes have different things, after a loss
    a lane is no member any more, or cannot go on the whole replica leaves: Evicted (or what it was) on every lane; join(), then
                                                  the others' state

The decision is one all-reduce of three numbers in the replica's own process group. A lane that dies before it fails there, with
torch's error: the replica lives and dies as a whole.

Which copy of the state counts is decided before the state moves, of a few numbers, so that all lanes take the copy of the same
replica. A copy's *origin* is a number drawn by the member that first had it: two copies with one origin and one revision are the
same. A newcomer's own origin is nobody else's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import torch
import torch.distributed as dist

from seaway._buffers import Array
from seaway._communicator import Communicator
from seaway._digest import digest
from seaway._errors import Aborted, Error, Evicted, Refused
from seaway._operation import Operation
from seaway._result import Result
from seaway._state import SyncResult
from seaway._view import View
from seaway.torch._transaction import StepTransaction
from seaway.torch._vote import FAILED, FINE, OUT, leave, least

T = TypeVar("T")


class Elected(NamedTuple):
    """The copy of the state that counts."""

    origin: int
    revision: int
    sizes: tuple[int, ...]
    mine: bool  # this replica has it


class Replica:
    """As much of a Communicator as an outer loop needs, for all lanes of a replica together.

    Args:
        comm: this lane's.
        group: the process group of the replica's lanes; None: there is one lane.
    """

    def __init__(self, comm: Communicator, group: dist.ProcessGroup | None) -> None:
        self.comm = comm
        self._group = group if group is not None and dist.get_world_size(group) > 1 else None
        self._replicas: dict[int, int] = {}
        self._origin = least([secrets.randbits(62)], self._group)[0]

    # -- what an outer loop calls -------------------------------------------------------------------------------------

    @property
    def view(self) -> View:
        return self.comm.view

    def update(self, call: Callable[[], Any] | None = None) -> View:
        """`Communicator.update`, or `call` that does it."""
        return self.together(lambda: self._updated(call or self.comm.update), lambda view: view.generation)

    def all_reduce_async(self, x: Array, **options: Any) -> AgreedOperation:
        operation, error = None, None
        transaction = StepTransaction(self.comm, options.pop("on_loss", "resume"))
        try:
            operation = self.comm.all_reduce_async(x, transaction=transaction.opened(), **options)
        except Exception as raised:
            transaction.abort(f"a lane could not start it: {raised}")
            error = raised
        transaction.close()
        return AgreedOperation(self, operation, error)

    def sync_state(self, tensors: Mapping[str, Array], revision: int) -> SyncResult:
        elected = self.elect(revision, ())
        synced = self.receive(tensors, elected)
        self.adopt(elected)
        return synced

    # -- the state ----------------------------------------------------------------------------------------------------

    def elect(self, revision: int, sizes: tuple[int, ...], name: str = "copy") -> Elected:
        """Which copy counts: the newest revision, of those the origin that most have, of those the first in roster order. `sizes`:
        numbers that go with this lane's copy."""
        own = (self._origin, revision, *sizes)
        header = torch.tensor(own, dtype=torch.int64)

        def sync() -> tuple[int, ...]:
            self.comm.sync_state({name: header}, revision)
            return tuple(header.tolist())

        taken = self.together(sync, lambda elected: _hash(elected[:2]))
        return Elected(taken[0], taken[1], taken[2:], taken == own)

    def receive(self, tensors: Mapping[str, Array], elected: Elected) -> SyncResult:
        """Makes tensors those of the elected copy."""
        role = "both" if elected.mine else "receive"
        return self.together(lambda: self.comm.sync_state(tensors, elected.revision if elected.mine else 0, role=role))

    def adopt(self, elected: Elected) -> None:
        """This replica has the whole of it now."""
        self._origin = elected.origin

    # -- deciding -----------------------------------------------------------------------------------------------------

    def together(self, call: Callable[[], T], about: Callable[[T], int] = lambda _: 0) -> T:
        """What call() gives, if all lanes have it and are alike in what `about` says of it."""
        value: T | None = None
        error: Exception | None = None
        try:
            value = call()
        except Exception as raised:  # whatever it is: the other lanes wait in decide()
            error = raised
        self.decide(error, about(value) if error is None else 0)  # type: ignore[arg-type]
        return value  # type: ignore[return-value]

    def decide(self, error: Exception | None, about: int = 0) -> None:
        """Returns if no lane has an error and all say the same number; raises what the table above says otherwise."""
        mine = FINE if error is None else FAILED if isinstance(error, (Aborted, Refused)) else OUT
        minus_worst, lowest, minus_highest = least([-mine, about, -about], self._group)
        worst, alike = -minus_worst, lowest == -minus_highest
        if worst == OUT and self._group is not None:
            leave(self.comm)
        if error is not None and (mine == worst or worst == FAILED):
            raise error
        if worst == OUT:
            text = "another lane of this replica is no member any more, so this one has left: join() on every lane"
            raise Evicted(text) from error
        if worst == FAILED:
            text = "another lane of this replica did not commit it, so that it counts at none; nothing has changed"
            raise Aborted(text, retryable=True)
        if not alike:
            text = "the lanes of this replica committed different things, after a loss; nothing has changed"
            raise Aborted(text, retryable=True)

    def replica_of(self, peer: int) -> int | None:
        """The replica of a member of the view of the last `update`."""
        return self._replicas.get(peer)

    def _updated(self, call: Callable[[], Any]) -> View:
        call()
        # That of the update, not of now: it has everyone who can be in a result of an op that starts later.
        view = self.comm._view or self.comm.view
        self._replicas = {member.peer: member.replica for member in view.members}
        return view


class AgreedOperation:
    """An op whose result counts only if all lanes have it."""

    def __init__(self, replica: Replica, operation: Operation | None, error: Exception | None) -> None:
        self._replica = replica
        self._operation = operation
        self._error = error

    def done(self) -> bool:
        return self._operation is None or self._operation.done()

    def wait(self, timeout: float | None = None) -> Result:
        def result() -> Result:
            if self._operation is None:
                assert self._error is not None
                raise self._error
            return self._operation.wait(timeout)

        return self._replica.together(result, lambda result: int(result.outcome == "committed"))


def _hash(numbers: tuple[int, ...]) -> int:
    return digest(repr(numbers)) >> 2


def communicator_of(lane: Any) -> Communicator:
    """A Communicator, or that of a Lane."""
    if isinstance(lane, Communicator):
        return lane
    comm = getattr(lane, "comm", None)
    if not isinstance(comm, Communicator):
        raise TypeError(f"lane is of type {type(lane).__name__}; give a seaway.Communicator or a seaway.torch.Lane")
    return comm


