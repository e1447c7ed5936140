"""Tensors as the library takes them: those that are elsewhere, or lie otherwise, are copied, and their results copied back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from seaway._errors import InvalidError
from seaway.torch._buffers import buffer, has_plain_memory, local


class Prepared:
    """Plain memory on the CPU, grouped by dtype in the order of their first. What comes from a GPU is staged in pinned memory, which
    torch keeps for the next step.

    Attributes:
        by_dtype: what the library is given.
        staged_bytes: how much was copied.
    """

    def __init__(self, tensors: Iterable[Tensor], names: Sequence[str] | None = None) -> None:
        self.staged_bytes = 0
        self._copies: list[tuple[Tensor, Tensor]] = []
        groups: dict[torch.dtype, list[Tensor]] = {}
        for i, tensor in enumerate(tensors):
            x = local(tensor).detach()
            plain = x.device.type == "cpu" and has_plain_memory(x)
            if x.layout is torch.strided and not x.is_meta and not plain and not _overlaps_itself(x):
                copy = torch.empty(x.shape, dtype=x.dtype, pin_memory=x.is_cuda).copy_(x, non_blocking=x.is_cuda)
                self._copies.append((x, copy))
                self.staged_bytes += x.nbytes
                x = copy
            buffer(x, names[i] if names is not None else f"tensors[{i}]")
            groups.setdefault(x.dtype, []).append(x)
        # The caller's streams have what it computed; when this returns, it is here.
        _synchronize(x for x, _ in self._copies)
        self.by_dtype = list(groups.values())

    def land(self) -> None:
        """Copies results back. For a device: when it returns, they are there for every stream."""
        with torch.no_grad():
            for x, copy in self._copies:
                x.copy_(copy, non_blocking=x.is_cuda)
        _synchronize(x for x, _ in self._copies)


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


def as_bytes(t: Tensor) -> Tensor:
    """For what is copied and not reduced: a tensor of a dtype that the library does not know, as its bytes; others as they are."""
    x = local(t).detach()
    try:
        buffer(torch.empty(0, dtype=x.dtype))
        return x
    except InvalidError:
        if not has_plain_memory(x) or x.device.type != "cpu":
            raise
        return x.reshape(-1).view(torch.uint8)
