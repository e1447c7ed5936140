"""seaway for PyTorch: replicas of FSDP2 or plain models that come and go, inside a training loop of one's own.

A *replica* is what lives and dies together: one process, or the ranks of one FSDP2 model. Inside of it torch's own process groups
serve, with a store of their own; the *lane* of each rank connects it with its like in all other replicas, over seaway.

    comm = seaway.Communicator(join, replica=site, lane=rank, lanes=ranks)
    lane = seaway.torch.Lane(comm)
    while training:
        lane.update()                                                      # other replicas join here
        loss(model, batch).backward()
        seaway.torch.average_gradients(model.named_parameters(), lane)
        seaway.torch.step(optimizer, lane, dist.group.WORLD)               # or skips, on all ranks alike
        optimizer.zero_grad()

docs/PYTORCH.md says which of the ways to take. Importing this module imports torch.
"""

from __future__ import annotations

from seaway.torch._averaging import Overlap, average_gradients, overlap_gradients
from seaway.torch._buffers import buffer
from seaway.torch._diloco import DiLoCo
from seaway.torch._errors import SeawayError
from seaway.torch._hook import comm_hook
from seaway.torch._lane import Lane
from seaway.torch._optimizer import init_optimizer_state
from seaway.torch._process_group import ProcessGroup, register, use_lane
from seaway.torch._reset import reset
from seaway.torch._state import named_state
from seaway.torch._sync import TrainingSync, sync_training_state
from seaway.torch._vote import step, vote
from seaway.torch._work import Work

__all__ = [
    "DiLoCo",
    "Lane",
    "Overlap",
    "ProcessGroup",
    "SeawayError",
    "TrainingSync",
    "Work",
    "average_gradients",
    "buffer",
    "comm_hook",
    "init_optimizer_state",
    "named_state",
    "overlap_gradients",
    "register",
    "reset",
    "step",
    "sync_training_state",
    "use_lane",
    "vote",
]

register()
