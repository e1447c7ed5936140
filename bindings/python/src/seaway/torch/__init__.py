"""seaway for PyTorch: replicas of FSDP2 or plain models that come and go, inside a loop of one's own."""

from __future__ import annotations

from seaway.torch._buffers import buffer
from seaway.torch._diloco import DiLoCo
from seaway.torch._optimizer import init_optimizer_state
from seaway.torch._state import named_state
from seaway.torch._sync import TrainingSync, sync_training_state

__all__ = [
    "DiLoCo",
    "TrainingSync",
    "buffer",
    "init_optimizer_state",
    "named_state",
    "sync_training_state",
]
