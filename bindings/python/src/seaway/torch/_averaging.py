"""Gradients, averaged over the replicas: after backward in one op for each dtype, or during it in several. Those of a step are a
transaction: committed in all lanes of all replicas over the same contributors, or in none.

Both post the same list on every member, whatever a member's graph used: of a parameter without a gradient zeros. Beside them
travels a byte for each parameter, in an op of its own, so that one which no replica used has no gradient afterwards either, as in a
single process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from seaway._options import Codec
from seaway.torch._buffers import local
from seaway.torch._errors import invalid
from seaway.torch._lane import Lane, digest
from seaway.torch._transaction import StepTransaction
from seaway.torch._work import Work

#: Parameters, alone or as named_parameters() gives them.
Parameters: TypeAlias = Iterable[Tensor] | Iterable[tuple[str, Tensor]]


def _listed(params: Parameters) -> list[tuple[str, Tensor]]:
    """(name, parameter) of those that are trained, by name; those without names in the order given."""
    named: list[tuple[str, Tensor]] = []
    seen: set[int] = set()
    for i, each in enumerate(params):
        name, parameter = each if isinstance(each, tuple) else (f"{i:06d}", each)
        if not isinstance(parameter, Tensor):
            raise invalid(f"params holds {type(parameter).__name__}; give tensors, or pairs as named_parameters() does")
        if parameter.requires_grad and id(parameter) not in seen:
            seen.add(id(parameter))
            named.append((name, parameter))
    return sorted(named, key=lambda pair: pair[0])


class Average:
    """The mean of some parameters' gradients, under way."""

    def __init__(
        self, lane: Lane, named: list[tuple[str, Tensor]], weight: float, codec: Codec, transaction: StepTransaction
    ) -> None:
        gradients: list[Tensor] = []
        self._unused: list[tuple[int, Tensor, Tensor]] = []
        self._used = torch.zeros(len(named), dtype=torch.uint8)
        for i, (_, parameter) in enumerate(named):
            grad = parameter.grad
            if grad is None:
                grad = torch.zeros_like(parameter, requires_grad=False)
                self._unused.append((i, parameter, grad))
            elif weight > 0:
                self._used[i] = 1
            gradients.append(grad)
        shapes = [part for (name, _), grad in zip(named, gradients, strict=True) for part in (name, tuple(grad.shape), grad.dtype)]
        names = [name for name, _ in named]
        self.work: Work = lane._reduce(
            gradients, "avg", weight, 0, digest(*shapes), None, "record", names, codec, transaction, marks=self._used
        )

    def wait(self) -> bool:
        """Until the gradients are the means; whether they are."""
        self.work.wait()
        if not self.work.is_success():
            return False
        for i, parameter, grad in self._unused:
            if self._used[i] > 0:
                parameter.grad = grad
        return True


def average_gradients(params: Parameters, lane: Lane, *, weight: float = 1.0, codec: Codec = None) -> bool:
    """Averages the gradients of params over all replicas, in place: one op for each dtype among them, after backward, all in one
    transaction with those of the other lanes. Every rank of every replica calls it at the same point of its step.

    Of DTensors the local shards are averaged. A parameter without a gradient here, and with one in another replica, counts as
    zeros and gets the mean; one that nobody used keeps none. Parameters that do not require gradients are left out.

    Args:
        params: `model.named_parameters()`, or tensors. By name the order of the list does not matter, and members that differ
            are told what each had.
        lane: the lane.
        weight: of this replica's gradients: its number of tokens, where replicas have different batches.
        codec: how gradients of float32 travel, those of other dtypes do as they are: None, "bf16", "q8" (.252 of the bytes) or "q4",
            or a pair, for contributions and for means; the same on every rank of every replica. What it rounds away is lost, and
            all replicas have the same bits with it.

    Returns:
        Whether it worked here. False: the gradients are as they were, `lane.error()` says why, and `step` lets all ranks of the
        replica know. It does not raise what an op became: a rank that raises alone leaves the others of its replica waiting.
    """
    named = _listed(params)
    transaction = lane._begin()
    average = Average(lane, named, weight, codec, transaction) if named else None
    transaction.close()
    return average.wait() if average is not None else True


class Overlap:
    """What `overlap_gradients` gives: hooks on a module's parameters."""

    def __init__(self, module: nn.Module, lane: Lane, bucket_bytes: int, codec: Codec) -> None:
        self._lane = lane
        self._codec = codec
        self._weight = 1.0
        self._transaction: StepTransaction | None = None
        self._buckets = _buckets(list(module.named_parameters()), bucket_bytes)
        self._left: list[int] = []
        self._averages: list[Average] = []
        self._hooks: list[RemovableHandle] = []
        for number_of_bucket, bucket in enumerate(self._buckets):
            for _, parameter in bucket:
                register: Callable[..., RemovableHandle] = parameter.register_post_accumulate_grad_hook
                self._hooks.append(register(self._hook(number_of_bucket)))

    def arm(self, *, weight: float = 1.0) -> None:
        """Before the backward of the step's last microbatch: from here on each bucket is averaged as soon as its gradients are
        there.

        Args:
            weight: as in `average_gradients`.
        """
        if self._armed() is not None:
            raise invalid("arm() was called twice; wait() comes between")
        self._transaction = self._lane._begin()
        self._weight = weight
        self._left = [len(bucket) for bucket in self._buckets]
        self._averages = []

    def wait(self) -> bool:
        """After that backward: averages what its graph did not use, and waits for everything.

        Returns:
            As `average_gradients`.
        """
        transaction = self._armed()
        if transaction is None:
            raise invalid("wait() was called without arm(), or after the step had ended")
        self._left = [0] * len(self._buckets)
        self._post(transaction)
        transaction.close()
        averages, self._averages = self._averages, []
        return all([average.wait() for average in averages])

    def remove(self) -> None:
        """Takes the hooks off the module."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _armed(self) -> StepTransaction | None:
        """What the step's ops are in, between arm() and wait()."""
        return None if self._transaction is None or self._transaction.closed else self._transaction

    def _hook(self, bucket: int) -> Callable[[Tensor], None]:
        def ready(_: Tensor) -> None:
            transaction = self._armed()
            if transaction is not None:
                self._left[bucket] -= 1
                self._post(transaction)

        return ready

    def _post(self, transaction: StepTransaction) -> None:
        """What is ready, in the order of the buckets: ops of a transaction match by their order, and graphs may differ."""
        while len(self._averages) < len(self._buckets) and self._left[len(self._averages)] == 0:
            bucket = self._buckets[len(self._averages)]
            self._averages.append(Average(self._lane, bucket, self._weight, self._codec, transaction))


def _buckets(named: list[tuple[str, Tensor]], bucket_bytes: int) -> list[list[tuple[str, Tensor]]]:
    """Parameters in the order in which backward is likely to have their gradients, cut into buckets; the same on all members."""
    buckets: list[list[tuple[str, Tensor]]] = []
    size = 0
    for name, parameter in reversed(named):
        if not parameter.requires_grad:
            continue
        if not buckets or size >= bucket_bytes:
            buckets.append([])
            size = 0
        buckets[-1].append((name, parameter))
        size += local(parameter).nbytes
    return buckets


def overlap_gradients(module: nn.Module, lane: Lane, *, bucket_bytes: int = 4 << 20, codec: Codec = None) -> Overlap:
    """Averages a module's gradients as `average_gradients` does, but while backward goes on. After `fully_shard`, once:

        overlap = overlap_gradients(model, lane)
        for step in ...:
            for i, batch in enumerate(microbatches):
                if i == len(microbatches) - 1:
                    overlap.arm()
                loss(model, batch).backward()
            overlap.wait()
            seaway.torch.step(optimizer, lane, group)

    Errors inside of backward go to the lane, never into autograd.

    Args:
        module: with the same parameters on every member, in the same order.
        lane: the lane.
        bucket_bytes: parameters of so many bytes of this rank are one op. What a link carries in a round trip is a good size.
        codec: as in `average_gradients`.

    Returns:
        Its handle: `arm`, `wait`, `remove`.
    """
    return Overlap(module, lane, bucket_bytes, codec)
