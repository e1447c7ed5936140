"""Tensors as the library takes them: those of one dtype in one place. What is elsewhere, or lies otherwise, is copied, and its result
copied back.

    tensors of a dtype                                    the library is given
    on the CPU, contiguous                                themselves
    on a CUDA device, contiguous                          themselves, in the order of torch's current stream
    there, where seaway has no libseaway_cuda.so          copies in pinned memory of the CPU
    on both, on several devices, strided                  copies of those that do not lie as the first on a CUDA device does
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from seaway._buffers import device_check
from seaway._errors import Error
from seaway.torch._buffers import has_plain_memory, local, memory_of

logger = logging.getLogger("seaway.torch")

CPU = torch.device("cpu")


@functools.cache
def _takes_cuda() -> bool:
    try:
        device_check("cuda")
    except Error as error:
        logger.warning("tensors on CUDA devices are copied through the CPU: %s", error)
        return False
    return True


def place_of(tensors: Iterable[Tensor]) -> torch.device:
    """Where the library is given tensors of one dtype."""
    devices = [x.device for x in tensors if x.is_cuda]
    return devices[0] if devices and _takes_cuda() else CPU


def lies_at(x: Tensor, place: torch.device) -> bool:
    """Whether the library can be given x itself there."""
    return x.device == place and has_plain_memory(x)


class Prepared:
    """What the library is given for some tensors, by dtype in the order of their first.

    Attributes:
        by_dtype: memory as it takes it.
        staged_bytes: how much was copied.
    """

    def __init__(self, tensors: Iterable[Tensor], names: Sequence[str] | None = None) -> None:
        self.staged_bytes = 0
        self._copies: list[tuple[Tensor, Tensor]] = []
        groups: dict[torch.dtype, list[tuple[str, Tensor]]] = {}
        for i, tensor in enumerate(tensors):
            x = local(tensor).detach()
            groups.setdefault(x.dtype, []).append((names[i] if names is not None else f"tensors[{i}]", x))
        self.by_dtype = [self._prepared(group) for group in groups.values()]
        # The caller's streams have what it computed; when this returns, it is on the CPU. On a device the library waits for them.
        _synchronize(x for x, copy in self._copies if copy.device == CPU)

    def _prepared(self, group: list[tuple[str, Tensor]]) -> list[Tensor]:
        place = place_of(x for _, x in group)
        prepared = []
        for name, x in group:
            if x.layout is torch.strided and not x.is_meta and not lies_at(x, place) and not _overlaps_itself(x):
                copy = copied(x, place)
                self._copies.append((x, copy))
                self.staged_bytes += x.nbytes
                x = copy
            memory_of(x, name, x.device if _overlaps_itself(x) else place)
            prepared.append(x)
        return prepared

    def land(self) -> None:
        """Copies results back. When it returns, they are there, for every stream of a device."""
        with torch.no_grad():
            for x, copy in self._copies:
                x.copy_(copy, non_blocking=x.is_cuda)
        _synchronize(x for x, _ in self._copies)


def copied(x: Tensor, place: torch.device) -> Tensor:
    """x as it is now, contiguous at a place. On the CPU it is pinned for a device, and there once that has been waited for; on a device it
    is there for what follows in the current stream."""
    copy = torch.empty(x.shape, dtype=x.dtype, device=place, pin_memory=place == CPU and x.is_cuda)
    return copy.copy_(x, non_blocking=True)


def put(target: Tensor, value: Tensor) -> None:
    """Copies value into target. For a device: when it returns, it is there for every stream."""
    with torch.no_grad():
        target.detach().copy_(value)
    _synchronize([target])


def _synchronize(tensors: Iterable[Tensor]) -> None:
    for device in {x.device for x in tensors if x.device.type != "cpu"}:
        torch.accelerator.current_stream(device).synchronize()


def _overlaps_itself(x: Tensor) -> bool:
    return any(stride == 0 and size > 1 for stride, size in zip(x.stride(), x.shape, strict=True))
