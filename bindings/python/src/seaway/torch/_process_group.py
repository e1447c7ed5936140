"""A lane as a process group of torch.distributed: for HSDP's replicate dimension, DDP and calls of dist.*.

torch 2.13 takes a subclass of ProcessGroup in Python for the whole group. It knows a fixed number of ranks, and a lane has none:

    who                        sees
    dist.get_world_size, DDP   size(), as it is now; in "resume" mode never 1, see below
    dist.get_rank              the position by the number of the replica, now
    dist.broadcast(src)        the position that src had when the group was made

A mean is taken here, by the library, over exactly those that contributed. torch divides by size() itself where it asks for a sum
(DDP without a hook, FSDP2 in fp16 or with a divide factor): a replica lost in the middle makes that wrong, silently. So a lane that
goes on after losses refuses sums of floating point; and as FSDP2 asks for a sum where replicas times shards is 1, such a lane
never says 1.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from seaway._communicator import Communicator, _integer_from_environment
from seaway._operation import Operation
from seaway.torch import _tags
from seaway.torch._buffers import as_bytes
from seaway.torch._errors import SeawayError, invalid
from seaway.torch._lane import Lane
from seaway.torch._staging import place_of, put
from seaway.torch._work import Work

_OPS = {
    dist.ReduceOp.SUM: "sum",
    dist.ReduceOp.AVG: "avg",
    dist.ReduceOp.MIN: "min",
    dist.ReduceOp.MAX: "max",
    dist.ReduceOp.PRODUCT: "prod",
}

_SUM_REFUSED = (
    'SUM of floating point is refused by a lane with on_loss="resume": torch has divided by a number of replicas that may be '
    "stale. Use AVG (HSDP with float32 or bfloat16, DDP with seaway.torch.comm_hook), a lane with on_loss=\"fail\", or allow_sum=True"
)


def _reduction(opts: Any) -> str:
    op = getattr(opts, "reduceOp", opts) if opts is not None else dist.ReduceOp.SUM
    for known, name in _OPS.items():
        if op == known:
            return name
    raise invalid(f"{op} is no reduction of seaway's; it has {', '.join(str(known) for known in _OPS)}")


class ProcessGroup(dist.ProcessGroup):
    """A lane as torch.distributed knows a group. `init_device_mesh(..., backend_override={"replicate": "seaway"})`,
    `dist.new_group(backend="seaway")` and the like make one by themselves; see `use_lane`.

    dtypes: float32, bfloat16, float16, float64 and integers are reduced; any may be broadcast or gathered. Every member calls the
    same in the same order. Sizes of `allgather` and the like are those of the group as it is now.

    Args:
        lane: the lane.
        on_error: "record": what fails ends as if it had not, with the tensors as they were, and the error waits in
            `lane.error()` for `seaway.torch.step`: for FSDP2 and DDP, which call this inside of backward. "raise": it raises; then
            `seaway.torch.reset` is what comes after it.
        allow_sum: allows sums of floating point on a lane with on_loss="resume".
        owned: the lane ends with the group.
    """

    def __init__(self, lane: Lane, *, on_error: str = "record", allow_sum: bool = False, owned: bool = False) -> None:
        if on_error not in ("raise", "record"):
            raise invalid(f"on_error is {on_error!r}; give one of raise, record")
        self._known = (lane.rank(), lane.size())
        super().__init__(*self._known)  # type: ignore[call-arg, arg-type]  # a rank and a size, for subclasses
        self.lane = lane
        self._on_error = on_error
        self._allow_sum = allow_sum or lane.on_loss == "fail"
        self._owned = owned
        self._timeout: float | None = None
        self._group_name = "seaway"
        self._group_desc = "undefined"
        lane._groups += 1
        self._tag = _tags.GROUP + lane._groups
        # Roots and the like are positions of the group as it was made.
        self._founders = [member.replica for member in lane.members()]

    # -- what the base keeps in a C++ backend, which this group has not ------------------------------------------------

    def getBackendName(self) -> str:
        """ "seaway"."""
        return "seaway"

    def getSize(self) -> int:
        """How many replicas are members, now. On a lane with on_loss="resume" at least 2 unless sums are allowed."""
        self._look()
        return self._known[1] if self._allow_sum else max(2, self._known[1])

    def getRank(self) -> int:
        """This replica's position by its number, now."""
        self._look()
        return self._known[0]

    def size(self) -> int:
        """`getSize()`."""
        return self.getSize()

    def rank(self) -> int:
        """`getRank()`."""
        return self.getRank()

    def setGroupName(self, name: str) -> None:
        """What torch calls this group."""
        self._group_name = name

    def getGroupName(self) -> str:
        """What torch calls this group."""
        return self._group_name

    def setGroupDesc(self, desc: str) -> None:
        """How torch describes this group."""
        self._group_desc = desc

    def getGroupDesc(self) -> str:
        """How torch describes this group."""
        return self._group_desc

    def _look(self) -> None:
        try:
            self._known = (self.lane.rank(), self.lane.size())
        except SeawayError:
            pass  # no member at the moment: what it last was

    # -- reductions ---------------------------------------------------------------------------------------------------

    def allreduce(self, tensors: Any, opts: Any = None, timeout: Any = None) -> Work:
        """Reduces in place: one op for each dtype. AVG is the mean over those that contributed."""
        listed = [tensors] if isinstance(tensors, Tensor) else list(tensors)
        op = _reduction(opts)
        if op == "sum" and not self._allow_sum and any(t.is_floating_point() for t in listed):
            raise invalid(_SUM_REFUSED)
        return self.lane._reduce(listed, op, 1.0, self._tag, 0, self._seconds(opts), self._on_error, None)

    def allreduce_coalesced(self, tensors: Sequence[Tensor], opts: Any = None) -> Work:
        """`allreduce` of all of them."""
        return self.allreduce(tensors, opts)

    def reduce_scatter_single(self, out: Tensor, inp: Tensor, opts: Any = None, timeout: Any = None) -> Work:
        """Reduces inp, a block for each member, of which out gets this one's. A loss ends it Aborted."""
        return self.reduce_scatter_single_coalesced([out], [inp], opts)

    def reduce_scatter_single_coalesced(self, outs: Sequence[Tensor], ins: Sequence[Tensor], opts: Any = None) -> Work:
        """`reduce_scatter_single` of several pairs."""
        op = _reduction(opts)
        targets = list(outs)
        landings: list[Callable[[], None]] = []

        def start(started: list[Operation]) -> None:
            blocks, order = self._blocks()
            for target, source in zip(targets, ins, strict=True):
                size = self._block_size(source, len(order), "input")
                given = source.detach().reshape(len(order), size)
                place = place_of([source])
                laid = torch.zeros(len(blocks), size, dtype=source.dtype, device=place)
                for row, peer in enumerate(order):
                    laid[blocks.index(peer)] = given[row]
                result = torch.empty(size, dtype=source.dtype, device=place)
                started.append(
                    self.lane.comm.reduce_scatter_async(laid, result, op=op, tag=self._tag, on_loss="fail", **self._options(opts))
                )

                def land(target: Tensor = target, result: Tensor = result) -> None:
                    put(target, result.view(target.shape))

                landings.append(land)

        return self._call(start, targets, landings, len(targets))

    # -- copies -------------------------------------------------------------------------------------------------------

    def broadcast(self, tensors: Any, opts: Any = None, timeout: Any = None) -> Work:
        """Copies the root's tensors into everybody's. If it fails, the others' are undefined."""
        listed = [tensors] if isinstance(tensors, Tensor) else list(tensors)
        root = int(getattr(opts, "rootRank", opts or 0))
        member = self._member(root, "root")
        return self.lane._broadcast(listed, member, self._tag, 0, self._seconds(opts), self._on_error)

    def allgather(  # type: ignore[override]
        self, outs: Sequence[Sequence[Tensor]], ins: Sequence[Tensor], opts: Any = None, timeout: Any = None
    ) -> Work:
        """Puts everyone's ins[i] into outs[i], by position. A loss ends it Aborted."""
        return self._gather([list(row) for row in outs], list(ins), opts)

    def all_gather_single(self, out: Tensor, inp: Tensor, opts: Any = None, timeout: Any = None) -> Work:
        """Puts everyone's inp into out, one after the other. A loss ends it Aborted."""
        return self.all_gather_single_coalesced([out], [inp], opts)

    def all_gather_single_coalesced(self, outs: Sequence[Tensor], ins: Sequence[Tensor], opts: Any = None) -> Work:
        """`all_gather_single` of several pairs."""
        rows = []
        for out, inp in zip(outs, ins, strict=True):
            if inp.numel() == 0:
                rows.append([out] * self.getSize())
                continue
            flat = out.detach().view(-1)
            rows.append([flat[i : i + inp.numel()] for i in range(0, flat.numel(), inp.numel())])
        return self._gather(rows, list(ins), opts)

    def _gather(self, outs: list[list[Tensor]], ins: list[Tensor], opts: Any) -> Work:
        landings: list[Callable[[], None]] = []
        targets = [out for row in outs for out in row]

        def start(started: list[Operation]) -> None:
            blocks, order = self._blocks()
            for row, source in zip(outs, ins, strict=True):
                if len(row) != len(order):
                    raise invalid(f"there is room for {len(row)} members' tensors, and the lane has {len(order)} members")
                mine = self.lane._prepare([as_bytes(source.contiguous())]).by_dtype[0][0].reshape(-1)
                theirs = torch.empty(len(blocks), mine.numel(), dtype=mine.dtype, device=mine.device)
                started.append(
                    self.lane.comm.all_gather_async(mine, theirs, tag=self._tag, on_loss="fail", **self._options(opts))
                )

                def land(row: list[Tensor] = row, theirs: Tensor = theirs, source: Tensor = source) -> None:
                    for out, peer in zip(row, order, strict=True):
                        put(out, theirs[blocks.index(peer)].view(source.dtype).view(out.shape))

                landings.append(land)

        return self._call(start, targets, landings, len(ins))

    # -- the rest -----------------------------------------------------------------------------------------------------

    def barrier(self, opts: Any = None, timeout: Any = None) -> Work:  # type: ignore[override]
        """Over when every member has called it."""

        def start(started: list[Operation]) -> None:
            started.append(self.lane.comm.barrier_async(tag=self._tag, **self._options(opts)))

        return self._call(start, [], [], 1)

    def send(self, tensors: Sequence[Tensor], dst: int, tag: int = 0) -> Work:
        """Sends tensors to the member at a position, which calls `recv` with as many of the same sizes."""
        pieces = self.lane._prepare([as_bytes(t) for t in tensors]).by_dtype

        def start(started: list[Operation]) -> None:
            to = self._member(dst, "dst")
            for piece in pieces:
                started.append(self.lane.comm.send_async(piece, to, tag=_tags.POINT_TO_POINT + tag))

        return self._call(start, list(tensors), [], 0)

    def recv(self, tensors: Sequence[Tensor], src: int, tag: int = 0) -> Work:
        """Receives what the member at a position sends."""
        prepared = self.lane._prepare([as_bytes(t) for t in tensors])

        def start(started: list[Operation]) -> None:
            source = self._member(src, "src")
            for piece in prepared.by_dtype:
                started.append(self.lane.comm.recv_async(piece, source, tag=_tags.POINT_TO_POINT + tag))

        return self._call(start, list(tensors), [prepared.land], 0)

    def abort(self) -> None:
        """Asks for the end of what this lane has under way, for everybody. May be called again."""
        self.lane.cancel("the process group was aborted")

    def shutdown(self) -> None:
        """What dist.destroy_process_group calls: a lane that was made for this group ends. May be called again."""
        if self._owned:
            self.lane.close()

    def set_timeout(self, timeout: timedelta) -> None:
        """For the calls from here on: so long without any byte, and the master decides."""
        self._timeout = timeout.total_seconds() or None

    # -- how ----------------------------------------------------------------------------------------------------------

    def _seconds(self, opts: Any) -> float | None:
        """torch says -1 ms for "your own"."""
        given = getattr(opts, "timeout", None)
        seconds = given.total_seconds() if isinstance(given, timedelta) else 0.0
        return seconds if seconds > 0 else self._timeout

    def _options(self, opts: Any) -> dict[str, Any]:
        return {"layout": self.lane._layout(), "timeout": self._seconds(opts) or self.lane._timeout}

    def _member(self, position: int, name: str) -> Any:
        if not 0 <= position < len(self._founders):
            return self.lane.member(position, name)
        replica = self._founders[position]
        for member in self.lane.members():
            if member.replica == replica:
                return member
        raise invalid(f"{name} is {position}, which was replica {replica}: it is no member any more")

    def _blocks(self) -> tuple[list[int], list[int]]:
        """The incarnations whose the library's blocks are, and those of the members now, by position."""
        return list(self.lane.comm.view.blocks), [member.peer for member in self.lane.members()]

    @staticmethod
    def _block_size(source: Tensor, members: int, name: str) -> int:
        if source.numel() % members:
            raise invalid(f"{name} has {source.numel()} elements, which are no {members} blocks: the lane has so many members")
        return source.numel() // members

    def _call(
        self, start: Callable[[list[Operation]], None], tensors: list[Tensor], landings: list[Callable[[], None]], expected: int
    ) -> Work:
        started: list[Operation] = []

        def land() -> None:
            for each in landings:
                each()

        def fail(_: SeawayError) -> bool:
            return self.lane._mark(started, expected, self._tag)

        return self.lane._start(lambda: start(started), started, tensors, self._on_error, land, None, fail)


_lane: Lane | None = None


def use_lane(lane: Lane | None) -> None:
    """The lane that process groups of the backend "seaway" use from here on. None: each makes its own, of a communicator by the
    environment: SEAWAY_JOIN, SEAWAY_REPLICA (or the rank in the group), LOCAL_RANK and LOCAL_WORLD_SIZE; it ends with the group."""
    global _lane
    _lane = lane


def create(store: Any, rank: int, size: int, timeout: timedelta) -> ProcessGroup:
    """What torch.distributed calls for a group of the backend "seaway". `size` replicas have to be there before it returns."""
    if _lane is not None:
        return ProcessGroup(_lane)
    replica = _integer_from_environment("SEAWAY_REPLICA")
    comm = Communicator(
        replica=rank if replica is None else replica,
        lanes=(_integer_from_environment("LOCAL_WORLD_SIZE") or 1) if "LOCAL_RANK" in os.environ else 1,
        min_world=size,
        timeout=timeout.total_seconds(),
    )
    return ProcessGroup(Lane(comm), owned=True)


_registered = False


def register() -> None:
    """Makes the backend "seaway" known to torch.distributed. Importing seaway.torch does it; more calls do nothing."""
    global _registered
    if not _registered:
        _registered = True
        dist.Backend.register_backend("seaway", create, devices=["cpu", "cuda"])


