"""seaway for PyTorch: replicas of FSDP2 or plain models that come and go, inside a loop of one's own."""

from __future__ import annotations

from seaway.torch._buffers import buffer

__all__ = [
    "buffer",
]
