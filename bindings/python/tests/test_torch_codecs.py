"""Averages and rounds that travel in a codec: the same bits in all replicas, a part of the bytes, and nothing else that is rounded."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402

import seaway  # noqa: E402
import seaway.torch  # noqa: E402
from conftest import cluster  # noqa: E402
from seaway.torch import Lane  # noqa: E402
from seaway.torch._averaging import Average  # noqa: E402

COUNT = 2_000_000  # of small ops no result travels


def _gradients(replica: int, dtype: Any = torch.float32) -> Any:
    return torch.randn(COUNT, generator=torch.Generator().manual_seed(replica)).to(dtype)


@pytest.mark.parametrize(
    ("codec", "share", "error"),
    [("bf16", 0.5, 0.03), ("q8", 0.252, 0.06), ("q4", 0.141, 0.8), (("q8", "bf16"), 0.376, 0.04)],
)
def test_gradients_travel_in_a_codec(master: seaway.Master, codec: Any, share: float, error: float) -> None:
    def body(comm: seaway.Communicator) -> tuple[Any, list[int]]:
        lane = Lane(comm)
        parameter = nn.Parameter(torch.zeros(COUNT))
        sent = []
        for each in (None, codec):
            parameter.grad = _gradients(comm.rank)
            transaction = lane._begin()
            average = Average(lane, [("w", parameter)], 1.0, each, transaction)
            transaction.close()
            assert average.wait(), lane.error()
            sent.append(sum(result.bytes_sent for result in average.work.results))
        return parameter.grad, sent

    found = cluster(master, 3, body)
    exact = sum(_gradients(replica).double() for replica in range(3)) / 3
    for mean, _ in found:
        assert torch.equal(mean, found[0][0])
        assert 0 < (mean - exact).abs().max() < error
    plain, encoded = (sum(sent[i] for _, sent in found) for i in range(2))
    assert encoded / plain == pytest.approx(share, rel=0.02)


def test_what_nobody_used_has_no_gradient_beside_large_ones_in_q8(master: seaway.Master) -> None:
    """A flag of one among gradients of a million would be rounded to nothing."""

    def body(comm: seaway.Communicator) -> list[Any]:
        lane = Lane(comm)
        parameters = [nn.Parameter(torch.zeros(4)) for _ in range(4)]
        wide = nn.Parameter(torch.zeros(3, dtype=torch.float64))
        parameters[0].grad = torch.full((4,), 1e6)
        if comm.rank == 0:
            parameters[1].grad = torch.full((4,), 1e6)
        if comm.rank == 1:
            parameters[3].grad = torch.full((4,), 1e6)  # of weight 0
        wide.grad = torch.full((3,), 1 / 3 if comm.rank == 0 else 7.0, dtype=torch.float64)
        weight = 1.0 if comm.rank == 0 else 0.0
        assert seaway.torch.average_gradients([*parameters, wide], lane, weight=weight, codec="q8"), lane.error()
        assert wide.grad.tolist() == [1 / 3] * 3  # as it was: the codec is float32's
        return [None if p.grad is None else p.grad.tolist() for p in parameters]

    for replica, (first, second, third, fourth) in enumerate(cluster(master, 2, body)):
        assert first == second and first is not None and first[0] == pytest.approx(1e6, rel=0.01)
        assert third is None
        assert fourth == (None if replica == 0 else [0.0] * 4)


def test_buckets_travel_in_a_codec(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> tuple[list[Any], int]:
        lane = Lane(comm)
        torch.manual_seed(5)
        model = nn.Sequential(nn.Linear(200, 400), nn.Tanh(), nn.Linear(400, 50))
        overlap = seaway.torch.overlap_gradients(model, lane, bucket_bytes=100_000, codec="q8")
        overlap.arm()
        model(torch.full((3, 200), float(comm.rank))).sum().backward()
        averages = overlap._averages
        assert overlap.wait(), lane.error()
        sent = sum(result.bytes_sent for average in averages for result in average.work.results)
        return [p.grad for p in model.parameters()], sent

    (mine, sent), (theirs, _) = cluster(master, 2, body)
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
    # Two members send each other what they contribute: all of it, in q8.
    assert sent < 0.3 * sum(4 * g.numel() for g in mine)


def test_replicas_that_differ_in_their_codec_are_told(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> str:
        lane = Lane(comm)
        parameter = nn.Parameter(torch.zeros(4))
        parameter.grad = torch.ones(4)
        assert not seaway.torch.average_gradients([parameter], lane, codec="q8" if comm.rank == 0 else None)
        assert parameter.grad.tolist() == [1] * 4
        return str(lane.error())

    for text in cluster(master, 2, body):
        assert "calls differ" in text and "codec" in text


def test_a_codec_that_there_is_not(solo: seaway.Communicator) -> None:
    lane = Lane(solo)
    parameter = nn.Parameter(torch.zeros(4))
    parameter.grad = torch.ones(4)
    assert not seaway.torch.average_gradients([parameter], lane, codec="q5")
    assert "q5" in str(lane.error()) and isinstance(lane.error(), seaway.InvalidError)
    lane.clear()
    with pytest.raises(seaway.torch.SeawayError, match="q5"):
        lane.all_reduce([torch.ones(3)], codec="q5")


def test_rounds_of_diloco_keep_what_the_codec_lost(master: seaway.Master) -> None:
    """Of a small value beside a large one q4 keeps nothing; with error feedback it adds up until it counts."""

    def body(comm: seaway.Communicator) -> tuple[list[float], str]:
        found = []
        for tag, feedback in enumerate((False, True)):
            param = torch.zeros(32)
            outer = seaway.torch.DiLoCo(
                [param], comm, outer_lr=1.0, momentum=0.0, nesterov=False, codec="q4", error_feedback=feedback, tag=tag
            )
            outer.sync()
            for _ in range(20):
                param[0] -= 1.0
                param[1] -= 0.05
                assert outer.step()
            found.append(param[1].item())
            digest = outer.digest()
        return found, digest

    (mine, digest), (theirs, other) = cluster(master, 2, body)
    assert mine == theirs and digest == other
    assert mine[0] == 0 and mine[1] == pytest.approx(-1.0, abs=0.1)


def test_error_feedback_has_to_have_a_codec(solo: seaway.Communicator) -> None:
    with pytest.raises(seaway.InvalidError, match="codec"):
        seaway.torch.DiLoCo([torch.zeros(2)], solo, error_feedback=True)
    with pytest.raises(seaway.InvalidError, match="float32"):
        seaway.torch.DiLoCo([torch.zeros(2, dtype=torch.float64)], solo, codec="q8", error_feedback=True)
