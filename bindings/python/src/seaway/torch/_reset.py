"""After an exception came out of forward or backward."""

from __future__ import annotations

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from seaway.torch._lane import Lane


def reset(module: nn.Module, lane: Lane | None = None) -> None:
    """Makes a module fit for the next step after an exception came out of its forward or backward: waits for what is under way,
    resets FSDP2's or DDP's state where there is some, and drops all gradients. For those who chose on_error="raise"; a lane that
    records needs no reset.

    Args:
        module: the root that was given to `fully_shard`, a DistributedDataParallel, or a plain module.
        lane: its lane, which is quiesced and cleared.

    Where one rank of a replica raised and another did not, the replica's own process group is of no use any more: end its
    processes and start the replica again.
    """
    if lane is not None:
        lane.quiesce()
        lane.clear()
    if isinstance(module, DistributedDataParallel):
        again = getattr(module.reducer, "_reset_state", None)
    else:
        again = getattr(module, "reset_iter_state", None)
    if again is not None:
        again()
    module.zero_grad(set_to_none=True)
