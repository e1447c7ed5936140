"""Tensors as memory: the local part of what a rank has, and where it lies.

Of a DTensor `data_ptr()` is 0, while `numel()` is that of the whole and `is_contiguous()` is true: it has to be unwrapped before
anything else is looked at. Pointers hold for one op: `.grad` is another tensor after `zero_grad()`, and the optimizer's state
after `load_state_dict()`, so they are looked up again each time.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from seaway._buffers import _known, _torch_code
from seaway._errors import InvalidError
from seaway.torch._errors import invalid, translate


def local(t: Tensor) -> Tensor:
    """The part of t that this rank has: t itself, of a DTensor its local shard, with its data arrived. Shares t's memory.

    Raises InvalidError for a DTensor with a placement of partial sums: its local part is no value of anything yet.
    """
    if not isinstance(t, DTensor):
        return t
    if any(placement.is_partial() for placement in t.placements):
        raise invalid(f"a DTensor is placed as {t.placements}; redistribute its partial sums first")
    shard = t.to_local()
    wait = getattr(shard, "wait", None)  # what a collective of torch's still fills
    return shard if wait is None else wait()


def has_plain_memory(t: Tensor) -> bool:
    """Whether a local tensor's elements lie one after the other in memory as they are: neither strided, nor a view that conjugates
    or negates when it is read."""
    return t.is_contiguous() and not t.is_conj() and not t.is_neg()


def is_reduced(dtype: torch.dtype) -> bool:
    """Whether the library knows numbers of this dtype."""
    try:
        return (_known.get(dtype) or _torch_code(dtype, "it")) > 0
    except InvalidError:
        return False


def as_bytes(t: Tensor) -> Tensor:
    """For what is copied and not reduced: a tensor of a dtype that the library does not know, as its bytes; others as they are."""
    x = local(t).detach()
    return x if is_reduced(x.dtype) or not has_plain_memory(x) else x.reshape(-1).view(torch.uint8)


def memory_of(x: Tensor, name: str, place: torch.device) -> tuple[int, int, int]:
    """As `buffer`, of a local tensor that is to lie at `place`."""
    if x.layout is not torch.strided:
        raise invalid(f"{name} is {x.layout}; give a dense tensor, such as {name}.to_dense()")
    if x.device != place:
        raise invalid(f"{name} is on {x.device}; give a tensor on {place}")
    try:
        code = _known.get(x.dtype) or _torch_code(x.dtype, name)
    except InvalidError as error:
        raise translate(error) from None
    if not has_plain_memory(x):
        raise invalid(f"{name} is not contiguous, or a conj() or neg() view; give a copy: {name}.contiguous().resolve_conj()")
    address, size = x.data_ptr(), x.nbytes
    if size and not address:
        raise invalid(f"{name} is a {type(x).__name__} that does not show its memory; give the plain tensor in it")
    return address, size, code


def buffer(t: Tensor, name: str = "the tensor") -> tuple[int, int, int]:
    """Where the local part of t lies: its address, its bytes, its dtype as seaway.h numbers it (SEAWAY_F32 is 1).

    The address is that of the first element, offsets of views included; it holds until t's memory is given to something else, and
    keeps nothing alive. An empty tensor, or an empty shard of a DTensor, has 0 bytes and may have the address 0.

    Raises InvalidError, which begins with `name`, for what is not memory of the host that can be written as it is: a tensor on
    another device (meta too), sparse, not contiguous (channels_last and expanded included), a conj() or neg() view, a
    subclass of Tensor that hides its memory, a dtype that seaway does not reduce.
    """
    return memory_of(local(t), name, torch.device("cpu"))
