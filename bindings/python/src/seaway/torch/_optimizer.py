"""The state of an optimizer: made before its time for a newcomer, and described by the names that the model gives.

Most optimizers make their state in the first `step()`. A newcomer that is to receive the others' state has to have tensors for it
before its own first backward.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from seaway._errors import InvalidError
from seaway.torch._buffers import local

# How a machine computes a step, which is its own business.
_PRIVATE_OPTIONS = ("capturable", "differentiable", "foreach", "fused", "params", "param_names")


def init_optimizer_state(optimizer: Optimizer, *, joiner: bool) -> None:
    """Gives a newcomer's optimizer the state that `step()` makes only later: zeros, as many as the others have, to receive
    theirs. To be called before the first backward; `sync_training_state` does it by itself.

    A step is made with gradients of zero and a learning rate of 0, then everything that it made is set to zero: moments are
    zero and `step` is 0, whatever the weight decay. For Adam, AdamW and SGD without dampening that is as good as no state. The
    parameters are put back as they were.

    Args:
        optimizer: any of torch.optim, or one that makes its state in `step()`. State that is there already stays as it is.
        joiner: False: nothing is done. A founder's state comes with its first step.

    Raises InvalidError: a parameter has a gradient, which this would use up (zero_grad() first), or the optimizer made a state for
    some parameters and none for others, which are named by group and index.
    """
    if not joiner:
        return
    trainable = [
        (f"param_groups[{i}]['params'][{j}]", param)
        for i, group in enumerate(optimizer.param_groups)
        for j, param in enumerate(group["params"])
        if param.requires_grad
    ]
    for where, param in trainable:
        if param.grad is not None:
            raise InvalidError(f"{where} has a gradient; a newcomer's optimizer is filled before its first backward: zero_grad()")
    bare = [(where, param) for where, param in trainable if not optimizer.state.get(param)]
    if bare:
        _fill(optimizer, [param for _, param in bare])
    without = [where for where, param in trainable if not optimizer.state.get(param)]
    if without and len(without) < len(trainable):
        raise InvalidError(f"{type(optimizer).__name__} made no state for {', '.join(without)}, and made some for the others")


@torch.no_grad()
def _fill(optimizer: Optimizer, params: list[Tensor]) -> None:
    rates = [group.get("lr") for group in optimizer.param_groups]
    before = [local(param).clone() for param in params]
    for param in params:
        param.grad = torch.zeros_like(param)
    try:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            if rate is not None:
                group["lr"] = torch.zeros_like(rate) if isinstance(rate, Tensor) else 0.0
        # The class's own step: a scheduler counts the calls of the instance's.
        with torch.enable_grad():
            type(optimizer).step(optimizer)
    finally:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            if rate is not None:
                group["lr"] = rate
        for param, values in zip(params, before, strict=True):
            param.grad = None
            local(param).copy_(values)
    for param in params:
        state = optimizer.state.get(param, {})
        for key, value in state.items():
            if isinstance(value, Tensor):
                local(value).zero_()
            elif isinstance(value, (int, float)) and not isinstance(value, bool):
                state[key] = type(value)(0)


class NamedOptimizer:
    """An optimizer, its parameters by the names that the model gives them."""

    def __init__(self, optimizer: Optimizer, names: dict[int, str]) -> None:
        """names: by id() of the parameter. Raises InvalidError for a parameter that is not among them."""
        self.optimizer = optimizer
        self._params: dict[str, Tensor] = {}
        groups = []
        for i, group in enumerate(optimizer.param_groups):
            members = []
            for j, param in enumerate(group["params"]):
                name = names.get(id(param))
                if name is None:
                    raise InvalidError(
                        f"param_groups[{i}]['params'][{j}] of the optimizer is no parameter of the model (any more): make the "
                        "optimizer after fully_shard() and the like, and call this between steps, not between forward and backward"
                    )
                self._params[name] = param
                members.append(name)
            groups.append((sorted(members), group))
        self._groups = sorted(groups, key=lambda each: each[0])  # whatever order the optimizer was given them in

    def _entries(self) -> Iterator[tuple[str, str, Any]]:
        for name, param in sorted(self._params.items()):
            for key, value in sorted(self.optimizer.state.get(param, {}).items()):
                yield name, key, value

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """(name, tensor): the state's, and options that are tensors, such as lr."""
        for name, key, value in self._entries():
            if isinstance(value, Tensor):
                yield f"optim.{name}.{key}", value
        for members, group in self._groups:
            for key, value in _options(group).items():
                if isinstance(value, Tensor):
                    yield f"optim.param_groups.{members[0] if members else ''}.{key}", value

    def scalars(self) -> dict[str, Any]:
        """What else there is: the groups' options and the state's numbers; `set_scalars` takes it."""
        return {
            "groups": [
                [members, {key: value for key, value in _options(group).items() if not isinstance(value, Tensor)}]
                for members, group in self._groups
            ],
            "state": [[name, key, value] for name, key, value in self._entries() if not isinstance(value, Tensor)],
        }

    def set_scalars(self, scalars: dict[str, Any]) -> None:
        for (_, group), (_, options) in zip(self._groups, scalars["groups"], strict=True):
            group.update(options)
        for name, key, value in scalars["state"]:
            self.optimizer.state[self._params[name]][key] = value

    def layout(self) -> dict[str, list[str]]:
        """Which parameters have which state."""
        found: dict[str, list[str]] = {}
        for name, key, _ in self._entries():
            found.setdefault(name, []).append(key)
        return found

    def conform(self, layout: dict[str, list[str]], scalars: dict[str, Any]) -> None:
        """Gives this optimizer's state the layout of the others': what it lacks is made, what it has more is dropped. Raises
        InvalidError, which says what differs, if that cannot be."""
        own, others = ([members for members, _ in groups] for groups in (self._groups, scalars["groups"]))
        if own != others:
            raise InvalidError(f"the optimizer's groups of parameters are {own} here and {others} at the others")
        if any(set(keys) - set(self.layout().get(name, ())) for name, keys in layout.items()):
            init_optimizer_state(self.optimizer, joiner=True)
        for name, keys in self.layout().items():
            state = self.optimizer.state[self._params[name]]
            for key in set(keys) - set(layout.get(name, ())):
                del state[key]
            if not state:
                del self.optimizer.state[self._params[name]]
        if self.layout() != layout:
            for name, keys in layout.items():
                own_keys = self.layout().get(name, [])
                if own_keys != keys:
                    raise InvalidError(f"the optimizer's state of {name} is {own_keys} here and {keys} at the others")


def _options(group: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in sorted(group.items()) if key not in _PRIVATE_OPTIONS}
