"""DiLoCo for torch: the outer loop of seaway.training over the local shards, decided by all lanes of a replica."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from seaway import training
from seaway._errors import Aborted, Error, InvalidError, Refused
from seaway._options import Codec
from seaway._result import Result
from seaway._view import View
from seaway.torch._buffers import local
from seaway.torch._replica import Replica, communicator_of
from seaway.training import EVERYBODY, Waiting

_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


class DiLoCo:
    """The outer loop of DiLoCo (arXiv 2311.08105) for a plain or FSDP2-sharded model. One thread at a time; on every lane of the
    replica, with the same arguments.

        outer = DiLoCo(model.parameters(), comm, group)
        while outer.round < rounds:
            outer.sync()                    # newcomers are admitted, and get theta, buf and the round
            for _ in range(500):
                inner_step()
            outer.step()                    # one all-reduce per lane, one outer step; the parameters are theta again

    theta, the shared parameters, and buf, the outer momentum, are float32 on the host (float64 if a parameter is), the local
    shards of this lane one behind the other. Parameters may be on any device, and of 16 bits. A round is made at all lanes of all
    replicas, over the same ones, or at none: its all-reduces are a transaction.

    Args:
        params: this lane's parameters, Tensors or DTensors, in the same order on every member; read and written in place. Where
            replicas begin with different ones, the first replica's are where the run starts.
        lane: a Communicator, or a Lane.
        group: the process group of the replica's lanes (those that FSDP2 shards over); None: one lane.
        outer_lr, momentum, nesterov: of the outer optimizer; the same on every member.
        codec, tag: as in `Communicator.all_reduce`; the same on every member.
        error_feedback: what the codec loses of this lane's contribution is added to its next one; each replica chooses for itself.
        waiting: when a round goes on without replicas that are not there yet, for example `seaway.training.WAIT_FOR_ALL`, as in
            `seaway.training.DiLoCo`. For replicas of one lane: what several lanes do together is everybody's.

    Raises InvalidError for parameters that are no floating-point numbers, for error_feedback without a codec or with parameters
    of float64, and for a quorum with several lanes.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lane: Any,
        group: dist.ProcessGroup | None = None,
        *,
        outer_lr: float = 0.7,
        momentum: float = 0.9,
        nesterov: bool = True,
        codec: Codec = None,
        error_feedback: bool = False,
        tag: int = 0,
        waiting: Waiting = EVERYBODY,
    ) -> None:
        several = group is not None and dist.get_world_size(group) > 1
        if several and waiting.quorum is not None:
            raise InvalidError("waiting has a quorum, and this replica several lanes, whose rounds are everybody's; give EVERYBODY")
        self._params = list(params)
        shards = [local(param.detach()) for param in self._params]
        for i, shard in enumerate(shards):
            if shard.dtype not in _DTYPES:
                raise InvalidError(f"params[{i}] is of {shard.dtype}; give floating-point parameters")
        wide = any(shard.dtype == torch.float64 for shard in shards)
        # The outer loop's theta_m. A copy, as a shard's memory may be another one after each step, and on a device.
        self._copies = [torch.empty(shard.shape, dtype=torch.float64 if wide else torch.float32) for shard in shards]
        self._take()
        comm = communicator_of(lane)
        self._lane = lane
        self._replica = Replica(comm, group)
        # Alone, a replica decides as its only lane does.
        member: Any = self._replica if several else comm
        self._outer = training.DiLoCo(
            member,
            [copy.numpy() for copy in self._copies],
            lr=outer_lr,
            momentum=momentum,
            nesterov=nesterov,
            tag=tag,
            codec=codec,
            error_feedback=error_feedback,
            waiting=waiting,
        )
        self._error: Error | None = None
        self._result: Result | None = None

    @property
    def round(self) -> int:
        """How many outer steps made theta."""
        return self._outer.round

    @property
    def error(self) -> Error | None:
        """Why the last `step` returned False."""
        return self._error

    @property
    def result(self) -> Result | None:
        """What the last `step` that returned True reduced: who contributed, who was lost."""
        return self._result

    def digest(self) -> str:
        """A hash of this lane's shared state, in hexadecimal: equal in every replica at the same point of its program."""
        return self._outer.digest()

    def sync(self) -> View:
        """Admits newcomers and, when there are any, brings them to the shared state. Every lane of every replica calls it at the
        same points, before its inner steps. Without newcomers it costs next to nothing. The inner optimizer stays a member's own.

        Returns the membership from here on. Raises Evicted, on every lane of the replica alike: `join()` on every lane, then call
        it again. Aborted, Refused: on every member alike; call it again.
        """
        self._take()
        view = self._outer.sync()
        self._put()
        return view

    def step(self, weight: float | None = None) -> bool:
        """Ends the round: the mean of what the replicas have learned, an outer step, and the parameters are theta. With `waiting` a
        round may be made without this replica: its work is offered to the next ones at once, with a `sync` before each, until one
        has it.

        Args:
            weight: of this replica, for example its tokens; all members give one, or none does.

        Returns:
            Whether the outer step was made, the same on every lane of every replica. If not, `error` says why it was aborted.
            theta and buf are as before then and the parameters keep what was learned, all of which counts in the next round:
            train on, or call it again.

        Raises:
            Evicted, Undecided and the like, on every lane of the replica: this replica is no member any more. As in `sync`.
        """
        self._error = None
        self._take()
        try:
            result = self._outer.step(weight)
        except (Aborted, Refused) as error:
            self._error = error
            return False
        if result.outcome != "committed":
            return False  # nobody's weight was above 0
        self._result = result
        self._put()
        return True

    def state_dict(self) -> dict[str, Any]:
        """This lane's shared state, for a checkpoint: theta, buf and the round, as copies. The same in every replica."""
        state = self._outer.state()
        return {name: torch.from_numpy(np.array(values)) for name, values in state.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Sets the shared state, and the parameters, to those of a checkpoint of the same lane. Before the first `sync`: in a run
        the newest round counts.

        Raises InvalidError if it is of a model of another size.
        """
        self._outer.load({name: torch.as_tensor(values).numpy() for name, values in state.items()})
        self._put()

    def _shards(self) -> list[Tensor]:
        shards = [local(param.detach()) for param in self._params]
        for i, (shard, copy) in enumerate(zip(shards, self._copies, strict=True)):
            if shard.shape != copy.shape:
                raise InvalidError(f"params[{i}] had the local shape {tuple(copy.shape)} and has {tuple(shard.shape)}")
        return shards

    @torch.no_grad()
    def _take(self) -> None:
        for copy, shard in zip(self._copies, self._shards(), strict=True):
            copy.copy_(shard)

    @torch.no_grad()
    def _put(self) -> None:
        for copy, shard in zip(self._copies, self._shards(), strict=True):
            shard.copy_(copy)
