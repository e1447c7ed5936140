"""What the replicas of a model share, by name: parameters, persistent buffers, the optimizer's state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from torch.nn import Module
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from seaway._errors import InvalidError
from seaway.torch._buffers import local
from seaway.torch._optimizer import NamedOptimizer
from seaway.torch._pack import pack
from seaway.torch._staging import CPU, lies_at

# What torch.compile, activation checkpointing and FSDP put into names.
_WRAPPERS = ("_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module")

OPTIONS = "optim.options"


def named_state(
    model: Module, optimizer: Optimizer | None = None, extra: Iterable[tuple[str, Tensor]] = ()
) -> list[tuple[str, Tensor]]:
    """The shared state of a model and its optimizer: (name, tensor), sorted by name. Lane j of every replica gets the same names,
    shapes and dtypes, also where the optimizer was given the parameters in another order.

        comm.sync_state(dict(named_state(model, optimizer)), step)

    The names are `model.<name>` of parameters and persistent buffers, and `optim.<name>.<key>` of the optimizer's state. Tensors
    are the local shards themselves, not copies: what is written there is written to the model. They hold until the next step;
    call this anew for each use. A tied weight is there once, by the first of its names. The one exception is `optim.options`: lr,
    betas and what else of numbers the optimizer has, packed in a tensor of bytes; a copy, which `sync_training_state` puts back.
    How a machine computes a step (foreach, fused, capturable, differentiable) is not in it.

    To be called between steps. FSDP2 modules are resharded, should they be whole from a forward without a backward. State of
    modules that is no tensor (`get_extra_state`) is not here: give it in `extra`, or as `data` of `sync_training_state`.

    Args:
        model: plain, FSDP2, DDP, compiled.
        optimizer: of parameters of the model. One that has made no state yet has none here.
        extra: more (name, tensor), such as an average of the weights.

    Raises InvalidError: a name is there twice; the optimizer has a parameter that is not the model's.
    """
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
    found, ids = _of_model(model)
    if optimizer is not None:
        named = NamedOptimizer(optimizer, ids)
        found += named.tensors()
        options = bytearray(pack(named.scalars(), "the optimizer"))
        found.append((OPTIONS, torch.frombuffer(options, dtype=torch.uint8)))
    found += extra
    state = sorted(((name, local(tensor.detach())) for name, tensor in found), key=lambda each: each[0])
    for (name, _), (following, _) in zip(state, state[1:], strict=False):
        if name == following:
            raise InvalidError(f"the name {name} is there twice")
    return state


def optimizer_of(model: Module, optimizer: Optimizer) -> NamedOptimizer:
    """The optimizer by the model's names."""
    return NamedOptimizer(optimizer, _of_model(model)[1])


def _of_model(model: Module) -> tuple[list[tuple[str, Tensor]], dict[int, str]]:
    """(the model's tensors by name, their names by id)"""
    ids: dict[int, str] = {}
    tensors: dict[int, Tensor] = {}
    for name, tensor in _registered(model):
        if id(tensor) not in ids or name < ids[id(tensor)]:
            ids[id(tensor)] = name
        tensors[id(tensor)] = tensor
    return [(f"model.{ids[key]}", tensor) for key, tensor in tensors.items()], ids


def _registered(model: Module) -> Iterator[tuple[str, Tensor]]:
    if isinstance(model, DistributedDataParallel):
        model = model.module
    for prefix, module in model.named_modules(remove_duplicate=False):
        for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
            if tensor is not None and name not in module._non_persistent_buffers_set:
                parts = [part for part in prefix.split(".") if part and part not in _WRAPPERS]
                yield ".".join([*parts, name]), tensor


class Hosted:
    """A tensor as memory that a sync can read and write: its own, on the CPU or at `place`, or a copy on the CPU that `put_back` copies
    back."""

    def __init__(self, name: str, tensor: Tensor, place: torch.device = CPU) -> None:
        if tensor.layout is not torch.strided or tensor.is_meta:
            where = f"{tensor.layout} tensor on {tensor.device}"
            raise InvalidError(f"{name} is a {where}; only dense tensors with memory can be shared")
        self.dtype, self.count = str(tensor.dtype).removeprefix("torch."), tensor.numel()
        own = lies_at(tensor, CPU) or lies_at(tensor, place)
        self._tensor = None if own else tensor
        self._host = tensor if own else tensor.cpu().resolve_conj().resolve_neg().contiguous()
        # Bytes, as some dtypes are none that seaway reduces: a copy is the same bits.
        self.array = self._host.reshape(-1).view(torch.uint8)

    def put_back(self) -> None:
        if self._tensor is not None:
            self._tensor.copy_(self._host)
