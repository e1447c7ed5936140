"""Members without a network, run in turn by one thread: for the equations of the outer loops, not for what a network does.

An op is decided as soon as its quorum, or everybody, has started it. So a test that lets one member after the other take a
step must not let one wait for what another starts later.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

import seaway


class _Op:
    """One all-reduce: what each member gave, and once it is decided, the mean."""

    def __init__(self) -> None:
        self.given: dict[int, tuple[Any, float]] = {}
        self.mean: Any = None
        self.contributors: tuple[seaway.Contributor, ...] = ()

    def decide(self) -> None:
        self.contributors = tuple(seaway.Contributor(peer, weight) for peer, (_, weight) in sorted(self.given.items()))
        total = sum(weight for _, weight in self.contributors)
        self.mean = sum(self.given[peer][0] * (weight / total) for peer, weight in self.contributors)


class Operation:
    def __init__(self, op: _Op, x: Any) -> None:
        self._op = op
        self._x = x

    def done(self) -> bool:
        return self._op.mean is not None

    def wait(self, timeout: float | None = None) -> Any:
        assert self.done(), "a member waits for one whose turn comes later"
        self._x[...] = self._op.mean
        contributors = self._op.contributors
        return SimpleNamespace(outcome="committed", contributors=contributors, weight_sum=sum(w for _, w in contributors))


class Member:
    """As much of a Communicator as an outer loop needs."""

    def __init__(self, group: Group, peer: int) -> None:
        self._group = group
        self._peer = peer
        self._started = 0

    @property
    def view(self) -> Any:
        return SimpleNamespace(me=self._peer, generation=1)

    @property
    def world_size(self) -> int:
        return len(self._group.members)

    def update(self) -> Any:
        return self.view

    def sync_state(self, tensors: Any, revision: int) -> Any:
        return SimpleNamespace(bytes_changed=0, revision=revision)

    def all_reduce_async(self, x: Any, op: str, *, weight: float | None, quorum: int | None = None, **_: Any) -> Operation:
        assert op == "avg"
        ops = self._group.ops
        if self._started == len(ops):
            ops.append(_Op())
        each = ops[self._started]
        self._started += 1
        if each.mean is None:
            each.given[self._peer] = (np.array(x), 1.0 if weight is None else weight)
            if len(each.given) >= min(quorum or self.world_size, self.world_size):
                each.decide()
        return Operation(each, x)


class Group:
    def __init__(self, size: int) -> None:
        self.ops: list[_Op] = []
        self.members: list[Any] = [Member(self, peer) for peer in range(size)]
