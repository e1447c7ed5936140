"""FSDP2 replicas that join, leave and die: the parameters are those of a single process over the reported contributors."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import seaway  # noqa: E402
import seaway.torch  # noqa: E402
from torch_replicas import (  # noqa: E402
    Rank,
    batch,
    digest_of,
    distance,
    event,
    loss,
    pipe,
    reference_gradients,
    replicas,
    sharded,
    shards,
    toy,
)

STEPS, LR = 7, 0.05
JOINS_AT, GOES_AT = 3, 5

pytestmark = pytest.mark.timeout(240)


def _state(model: Any, optimizer: Any) -> dict[str, Any]:
    """What a newcomer must get: shards of parameters and of AdamW's state."""
    tensors = {}
    for name, p in model.named_parameters():
        tensors[f"model.{name}"] = p.detach().to_local()
        for key, value in optimizer.state[p].items():
            tensors[f"optim.{name}.{key}"] = value.to_local() if hasattr(value, "to_local") else value
    return tensors


def _fill(optimizer: Any) -> None:
    for group in optimizer.param_groups:
        for p in group["params"]:
            optimizer.state[p] = {
                "step": torch.tensor(0.0),
                "exp_avg": torch.zeros_like(p, requires_grad=False),
                "exp_avg_sq": torch.zeros_like(p, requires_grad=False),
            }


def _train(rank: Rank, how: str, begun: Any) -> dict[str, Any]:
    newcomer = rank.replica == 2
    lane = rank.lane
    model = sharded(toy(seed=9 if newcomer else 0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
    contributors: dict[int, list[int]] = {}
    digests: dict[int, str] = {}
    step = JOINS_AT if newcomer else 0
    if newcomer:
        _fill(optimizer)
    while step < STEPS:
        if step == GOES_AT and rank.replica == 0:
            if how == "leave":
                break
            # One rank dies with its gradient ready; the other one's does not count either.
            if rank.number == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        lane.update()
        if step == JOINS_AT:
            begun.set()  # not before, or it would be in at an earlier step
            while lane.size() < 3:
                lane.update()
            step = rank.comm.sync_state(_state(model, optimizer), 0 if newcomer else step).revision
        try:
            optimizer.zero_grad()
            loss(model, batch(step, rank.replica, rank.number)).backward()
            seaway.torch.average_gradients(model.named_parameters(), lane)
            applied = seaway.torch.step(optimizer, lane, rank.group)
        except RuntimeError:
            # The other rank of this replica is gone, and with it this one's place.
            assert how == "kill" and rank.replica == 0 and step == GOES_AT
            return {"contributors": contributors, "digests": digests, "shards": None}
        if applied:
            contributors[step] = lane.contributors()
            step += 1
            digests[step] = digest_of(shards(model))
    return {"contributors": contributors, "digests": digests, "shards": shards(model)}


@pytest.mark.parametrize("how", ["leave", "kill"])
def test_replicas_of_two_lanes_come_and_go(master: seaway.Master, how: str) -> None:
    begun = event()
    with (
        replicas(master, [0, 1], _train, how, begun) as old,
        replicas(master, [2], _train, how, begun, after=begun) as new,
    ):
        zero, one = old
        found = {each.number: each.results() for each in (zero, one, *new)}

    reported = [found[1][lane]["contributors"] for lane in range(2)]
    for lane in range(2):
        assert sorted(reported[lane][0]) == [0, 1] and sorted(reported[lane][4]) == [0, 1, 2]
        assert sorted(reported[lane][GOES_AT]) == sorted(reported[lane][STEPS - 1]) == [1, 2]
        # What one replica's rank was told, its like in the other replicas was told too.
        for other in (0, 2):
            if found[other][lane] is not None:
                for step, contributors in found[other][lane]["contributors"].items():
                    assert contributors == reported[lane][step]
                for step, digest in found[other][lane]["digests"].items():
                    assert digest == found[1][lane]["digests"][step]

    model = toy()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
    for step in range(STEPS):
        reference_gradients(model, step, [reported[lane][step] for lane in range(2)])
        optimizer.step()
    for replica in (1, 2):
        for lane in range(2):
            assert distance(model, lane, found[replica][lane]["shards"]) < 1e-6


# -- a replica that was out of reach ------------------------------------------------------------------------------------------


def _is_held_up(rank: Rank, stops: Any, evicted: Any) -> dict[str, Any]:
    """A rank of replica 1 stands still for so long that its replica is evicted."""
    lane = rank.lane
    model = sharded(toy(seed=rank.replica))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
    digests: list[str] = []

    def step(at: int) -> int:
        at = seaway.torch.sync_training_state(lane, model, optimizer, step=at, group=rank.group).step
        optimizer.zero_grad()
        loss(model, batch(at, rank.replica, rank.number)).backward()
        seaway.torch.average_gradients(model.named_parameters(), lane)
        at += seaway.torch.step(optimizer, lane, rank.group)
        digests.append(digest_of(shards(model)))
        return at

    def both() -> bool:
        return seaway.torch.vote(lane.size() == 2, rank.group)

    at = step(step(0))
    if rank.replica == 0:
        while both():
            at = step(at)
        evicted.set()
        while not both():
            at = step(at)
    else:
        if rank.number == 1:
            stops.send(os.getpid())
        with pytest.raises((seaway.Evicted, seaway.NotMember)):
            while True:
                at = step(at)
        rank.comm.join()
        at = step(at)
    for _ in range(3):
        at = step(at)
    return {"step": at, "digests": digests[-4:]}


def test_a_replica_that_was_evicted_comes_back_on_both_lanes(master: seaway.Master) -> None:
    here, there = pipe()
    evicted = event()
    with replicas(master, [0, 1], _is_held_up, there, evicted) as running:
        stopped = here.recv()
        os.kill(stopped, signal.SIGSTOP)
        try:
            assert evicted.wait(60), "nobody was evicted"
        finally:
            os.kill(stopped, signal.SIGCONT)
        found = [each.results() for each in running]
    for lane in range(2):
        assert found[0][lane] == found[1][lane]
    assert found[0][0]["step"] == found[0][1]["step"]
