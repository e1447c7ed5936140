"""What the ranks of a replica decide together, so that no rank applies a step that another throws away.

The ops of lane j end alike at every replica, those of lane k may end otherwise. A vote inside each replica is therefore the same
in all of them, without a message between them:

    lane 0 committed, lane 1 aborted  ->  every replica votes True and False  ->  every replica skips the step
"""

from __future__ import annotations

import torch
import torch.distributed as dist

from seaway._errors import CallError, NotMember
from seaway.torch._lane import Lane, logger


def vote(ok: bool, group: dist.ProcessGroup | None) -> bool:
    """Whether every rank of this replica says ok. A collective call of the replica's ranks.

    Args:
        ok: this rank's own.
        group: the replica's own process group, such as dist.group.WORLD, Gloo or NCCL; never one that spans replicas. None: a
            replica of one process.

    Raises what torch.distributed raises when a rank of the replica is gone: end this process, and start the replica again.
    """
    if group is None:
        return ok
    ballot = torch.tensor([int(ok)], dtype=torch.int32, device=_device(group))
    dist.all_reduce(ballot, op=dist.ReduceOp.MIN, group=group)
    return bool(ballot.item())


def _device(group: dist.ProcessGroup) -> torch.device:
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
        "seaway.torch".

    Raises:
        SeawayError: of the class seaway.InvalidError and the like, after the vote: this rank's call was wrong, and making the step
            again would not help.
    """
    lane.quiesce()
    error = lane.error()
    applied = vote(ok and error is None, group)
    lane.skipped = None if applied else error
    lane.clear()
    if applied:
        optimizer.step()
        return True
    if error is not None:
        logger.warning("step skipped: %s", error)
        if isinstance(error, CallError) and not isinstance(error, NotMember) and not error.retryable:
            raise error
    return False
