"""One call that brings a newcomer to where the group is: model, optimizer, scheduler, step, place in the data.

What happens where the membership has newcomers, at every member alike:

    1  elect       whose copy counts, of a few numbers: origin, step, sizes. See _replica.py
    2  facts       what is no tensor travels as bytes: which tensors there are, the optimizer's options, the scheduler, the data's
                   place; and what replicas gave to be kept for them
    3  conform     who has not the elected copy makes the optimizer's state that it lacks and compares its tensors with the list.
                   If they differ it leaves the run, with the reason: the others are not held up by it
    4  tensors     what differs is sent, from all who have it
    5  apply       options, scheduler, step

Up to 4 nothing of the model has changed; a call that failed is made again, by everyone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from seaway._communicator import Communicator
from seaway._errors import InvalidError
from seaway._state import SyncResult
from seaway._view import View
from seaway.torch._keeping import exchange
from seaway.torch._pack import pack, unpack
from seaway.torch._replica import Elected, Replica, communicator_of
from seaway.torch._staging import place_of
from seaway.torch._state import OPTIONS, Hosted, named_state, optimizer_of
from seaway.torch._vote import leave


@dataclass(frozen=True, slots=True)
class TrainingSync:
    """Where this member is after `sync_training_state`.

    Attributes:
        view: the membership from here on.
        step, data: the group's. What was given, unless this member has just caught up.
        caught_up: this member has taken the state from others.
        private: if it has caught up: what its replica and lane gave last as `private`, from whoever kept it; None: nobody has any.
        orphans: by replica, what those gave last who are no members now, for whoever takes their work over.
        sync: what the state sync moved; None: there was no newcomer, and nothing was compared.
    """

    view: View
    step: int
    data: Any
    caught_up: bool = False
    private: bytes | None = None
    orphans: Mapping[int, bytes] = field(default_factory=dict)
    sync: SyncResult | None = None


class _Memory:
    """What is known from call to call, of one model on one communicator."""

    def __init__(self, comm: Communicator, group: dist.ProcessGroup | None) -> None:
        self.group = group
        self.replica = Replica(comm, group)
        self.shared_in: tuple[int, int] | None = None  # my incarnation and the generation that the state was shared in
        self.kept: dict[int, bytes] = {}  # by replica, what it gave last


def _memory(comm: Communicator, name: str, group: dist.ProcessGroup | None) -> _Memory:
    # With the communicator, so that it goes when that does.
    memories: dict[str, _Memory] = vars(comm).setdefault("_training_states", {})
    memory = memories.get(name)
    if memory is None:
        memory = memories[name] = _Memory(comm, group)
    if memory.group is not group:
        raise InvalidError("group is another one than in the calls before, for the same communicator and name")
    return memory


def sync_training_state(
    comm: Any,
    model: Module,
    optimizer: Optimizer | None = None,
    scheduler: Any = None,
    *,
    step: int,
    data: Any = None,
    private: bytes | None = None,
    extra: Iterable[tuple[str, Tensor]] = (),
    group: dist.ProcessGroup | None = None,
    name: str = "training",
) -> TrainingSync:
    """Admits newcomers, and brings them to where the group is: model, optimizer, scheduler, step and place in the data.

        at = sync_training_state(comm, model, optimizer, scheduler, step=step, data=place, group=group)
        step, place = at.step, at.data

    To be called by every lane of every replica once per committed step, before its forward. Without newcomers it costs what
    `Communicator.update` costs, nothing, and with lanes one small all-reduce within the replica. With newcomers the newest step is
    elected, of those the state that most have, of those the first replica's; tensors that differ are sent from all who have it.
    So founders begin with the first one's parameters, and a run goes on from the newest checkpoint that a founder has loaded.

    A newcomer's optimizer needs no state: it gets what the others' has, also where theirs has none yet. A member that was evicted
    calls `comm.join()`, on every lane, and then this.

    Args:
        comm: a Communicator, or a Lane.
        model, optimizer, extra: as in `named_state`.
        scheduler: anything with state_dict() and load_state_dict() of plain values (numbers, texts, lists, dicts), as those of
            torch.optim.lr_scheduler. Its lambdas are not shared.
        step: how many steps made this member's state: the revision of its copy. Rises by one with each step that was committed.
        data: the group's place in the data, of plain values: `{"epoch": 1, "sample": 40960}`.
        private: what is this lane's own and a successor of it will want, as opaque bytes: random number generators, the state of
            its data loader. Given by every member in the same calls, or by none. Members keep it for each other, outside of the
            hashes; each such call is a small all-gather, so every hundredth step may do.
        group: the process group of the replica's lanes; None: one lane.
        name: several models on one communicator need different ones.

    Raises:
        InvalidError: an argument is wrong; the text names it. Or this newcomer's tensors, or the optimizer's groups, are not the
            others': the text names the first that differs, and this member has left the run.
        Evicted and the like, on every lane of this replica: as above. Aborted, Refused: on every member; call it again.
    """
    communicator = communicator_of(comm)
    if not 0 <= step < 2**62:
        raise InvalidError(f"step is {step}; give how many steps made the state")
    if private is not None and not isinstance(private, bytes):
        raise InvalidError(f"private is of type {type(private).__name__}; give bytes")
    memory = _memory(communicator, name, group)
    replica = memory.replica
    view = replica.update(None if comm is communicator else comm.update)
    result = TrainingSync(view, step, data)
    if memory.shared_in != (view.me, view.generation):
        shared = _Shared(model, optimizer, scheduler, data, list(extra))
        result = shared.sync(memory, name, view, step)
        memory.shared_in = (view.me, view.generation)
    if private is not None:
        # A successor's own place in the data is not its predecessor's: the next call has that.
        given = private if result.private is None else result.private
        memory.kept |= replica.together(lambda: exchange(replica, view, given, name))
    return result


class _Shared:
    """What one call shares."""

    def __init__(
        self, model: Module, optimizer: Optimizer | None, scheduler: Any, data: Any, extra: list[tuple[str, Tensor]]
    ) -> None:
        self._model, self._optimizer, self._scheduler = model, optimizer, scheduler
        self._data, self._extra = data, extra
        self._tensors = self._hosted()

    def sync(self, memory: _Memory, name: str, view: View, step: int) -> TrainingSync:
        replica = memory.replica
        facts, kept = pack(self._facts()), pack(memory.kept)
        elected = replica.elect(step, (len(facts), len(kept)), f"{name}: copy")
        theirs, table = self._receive_facts(replica, name, elected, facts, kept)
        try:
            replica.together(lambda: self._conform(unpack(theirs)) if theirs != facts else None)
        except InvalidError as error:
            leave(replica.comm)
            raise InvalidError(f"{error}; this member has left the run") from error
        synced = replica.receive({f"{name}: {key}": each.array for key, each in self._tensors.items()}, elected)
        with torch.no_grad():
            for each in self._tensors.values() if synced.bytes_changed else ():
                each.put_back()
        if theirs != facts:
            self._apply(unpack(theirs))
        replica.adopt(elected)
        memory.kept = unpack(table)
        present = {member.replica for member in view.members}
        own = replica.replica_of(view.me)
        return TrainingSync(
            view,
            elected.revision,
            self._data,
            not elected.mine or theirs != facts or synced.bytes_changed > 0,
            None if elected.mine or own is None else memory.kept.get(own),
            {key: value for key, value in memory.kept.items() if key not in present},
            synced,
        )

    def _hosted(self) -> dict[str, Hosted]:
        tensors = named_state(self._model, self._optimizer, self._extra)
        place = place_of(tensor for _, tensor in tensors)
        return {name: Hosted(name, tensor, place) for name, tensor in tensors if name != OPTIONS}

    def _facts(self) -> dict[str, Any]:
        named = optimizer_of(self._model, self._optimizer) if self._optimizer is not None else None
        return {
            "tensors": {name: (each.dtype, each.count) for name, each in self._tensors.items()},
            "layout": named.layout() if named is not None else {},
            "options": named.scalars() if named is not None else None,
            "scheduler": self._scheduler.state_dict() if self._scheduler is not None else None,
            "data": self._data,
        }

    @staticmethod
    def _receive_facts(
        replica: Replica, name: str, elected: Elected, facts: bytes, kept: bytes
    ) -> tuple[bytes, bytes]:
        sizes = elected.sizes
        pieces = [
            bytearray(own if elected.mine else size) for own, size in zip((facts, kept), sizes, strict=True)
        ]
        replica.receive({f"{name}: facts": pieces[0], f"{name}: kept": pieces[1]}, elected)
        return bytes(pieces[0]), bytes(pieces[1])

    def _conform(self, theirs: dict[str, Any]) -> None:
        for what, mine in (("options", self._optimizer), ("scheduler", self._scheduler)):
            if (theirs[what] is None) != (mine is None):
                which = "optimizer" if what == "options" else what
                raise InvalidError(f"there is {'no ' if mine is None else 'a'} {which} here, unlike at the others")
        if self._optimizer is not None:
            optimizer_of(self._model, self._optimizer).conform(theirs["layout"], theirs["options"])
        self._tensors = self._hosted()
        own = {name: (each.dtype, each.count) for name, each in self._tensors.items()}
        for name in sorted(own.keys() | theirs["tensors"].keys()):
            here, there = own.get(name), theirs["tensors"].get(name)
            if here != there:
                words = ["none" if each is None else f"{each[1]} x {each[0]}" for each in (here, there)]
                raise InvalidError(f"the tensor {name} is {words[0]} here and {words[1]} at the others")

    def _apply(self, theirs: dict[str, Any]) -> None:
        if self._optimizer is not None:
            optimizer_of(self._model, self._optimizer).set_scalars(theirs["options"])
        if self._scheduler is not None:
            self._scheduler.load_state_dict(theirs["scheduler"])
        self._data = theirs["data"]
