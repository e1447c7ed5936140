"""What the ranks of a replica decide together, so that no rank applies a step that another throws away.

A transaction ends alike in all lanes of all replicas. Other ops end alike at every member of their lane, and those of lane k may
end otherwise than those of lane j. A vote inside each replica is the same in all of them, without a message between them:

    lane 0 committed, lane 1 aborted  ->  every replica votes fine and failed  ->  every replica skips the step

Who is *out* has not what its lane's other members may have: no member any more, or a result that could not be copied. Its replica
cannot follow, so all of its ranks leave, and come back for the others' state.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist

from seaway._communicator import Communicator
from seaway._errors import CallError, Error, NotMember
from seaway.torch._lane import Lane, logger

FINE, FAILED, OUT = 0, 1, 2

_LEAVE_SECONDS = 2.0


def vote(ok: bool, group: dist.ProcessGroup | None) -> bool:
    """Whether every rank of this replica says ok. A collective call of the replica's ranks.

    Args:
        ok: this rank's own.
        group: the replica's own process group, such as dist.group.WORLD, Gloo or NCCL; never one that spans replicas. None: a
            replica of one process.

    Raises what torch.distributed raises when a rank of the replica is gone: end this process, and start the replica again.
    """
    return worst(FINE if ok else FAILED, group) == FINE


def worst(mine: int, group: dist.ProcessGroup | None) -> int:
    """The worst of FINE, FAILED and OUT that a rank of the replica says. A collective call of them."""
    return -least([-mine], group)[0]


def least(numbers: Sequence[int], group: dist.ProcessGroup | None) -> list[int]:
    """Of each number the least that a rank of the replica has. A collective call of them; None: a replica of one process."""
    if group is None:
        return list(numbers)
    ballot = torch.tensor(numbers, dtype=torch.int64, device=device_of(group))
    dist.all_reduce(ballot, op=dist.ReduceOp.MIN, group=group)
    found: list[int] = ballot.tolist()
    return found


def leave(comm: Communicator) -> None:
    """Leaves the run, if this lane is a member of it."""
    try:
        comm.leave(_LEAVE_SECONDS)
    except Error:
        pass  # it is none any more, or the others will find out


def device_of(group: dist.ProcessGroup) -> torch.device:
    """Where tensors of its collectives are to be: on the CPU unless the group has no way there."""
    kinds = [torch.device(kind) for kind in group._device_types]
    return torch.device("cpu") if torch.device("cpu") in kinds or not kinds else kinds[0]


def step(optimizer: torch.optim.Optimizer, lane: Lane, group: dist.ProcessGroup | None, *, ok: bool = True) -> bool:
    """Ends a training step: waits for what the lane has under way, votes, and steps the optimizer if every rank of the replica
    had everything. Otherwise the parameters and the optimizer are as they were: `zero_grad()` and make the step again, which
    all replicas do.

        ok = average_gradients(model.named_parameters(), lane)
        step(optimizer, lane, dist.group.WORLD)

    Args:
        optimizer: of this rank's shards.
        lane: its error, if it has one, is this rank's no; it is cleared.
        group: as in `vote`.
        ok: what else this rank decides on, such as whether the averaged gradients are finite. It must follow from what is the same
            in all replicas, or they would step differently.

    Returns:
        Whether the optimizer stepped. `lane.skipped` says why not, on the ranks whose lane failed, and so does the logger
        "seaway.torch". If a rank of this replica has not what the other replicas may have stepped with, the replica has left the
        run: the next `lane.update` raises seaway.NotMember or seaway.Evicted on all its ranks.

    Raises:
        SeawayError: of the class seaway.InvalidError and the like, after the vote: this rank's call was wrong, and making the step
            again would not help.
    """
    lane.quiesce()
    error = lane.error()
    decided = worst(OUT if lane._behind else FAILED if error is not None or not ok else FINE, group)
    lane.skipped = None if decided == FINE else error
    lane.clear()
    if decided == FINE:
        optimizer.step()
        return True
    if decided == OUT:
        leave(lane.comm)
    if error is not None:
        logger.warning("step skipped: %s", error)
        if isinstance(error, CallError) and not isinstance(error, NotMember) and not error.retryable:
            raise error
    return False
