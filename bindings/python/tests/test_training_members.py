"""Outer loops while members die and come: every method, a death in every phase, a newcomer."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import BOUND, Thread, cluster, join, together
from outer_loops import HAS_QUORUM, METHODS, PHASES, Loop

import seaway
from seaway.training import NO_WAIT, DecoupledDiLoCo, DiLoCo, StreamingDiLoCo, Waiting

PROGRAM = str(pathlib.Path(__file__).with_name("outer_loops.py"))
needs_quorum = pytest.mark.skipif(not HAS_QUORUM, reason="all_reduce has no quorum")


def run(loop: Loop, is_last: Callable[[seaway.Result], bool]) -> dict[int, str]:
    """Turns until a round has such a result, which all members see at the same round. The digest after each turn, by round."""
    seen: dict[int, str] = {}
    ended = len(loop.results)
    while True:
        loop.turn()
        seen[loop.outer.round] = loop.outer.digest()
        if any(is_last(result) for result in loop.results[ended:]):
            return seen
        ended = len(loop.results)


def rounds_of(wanted: int, count: int) -> Callable[[seaway.Result], bool]:
    """Whether a result is the count-th over so many contributors."""
    left = [count]

    def is_last(result: seaway.Result) -> bool:
        left[0] -= len(result.contributors) == wanted
        return left[0] == 0

    return is_last


def assert_the_same(traces: list[dict[int, str]]) -> None:
    for trace in traces[1:]:
        assert trace[max(trace)] == traces[0][max(traces[0])] and max(trace) == max(traces[0])
        assert all(trace[each] == traces[0][each] for each in trace.keys() & traces[0].keys())


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("method", METHODS)
def test_a_member_dies(master: seaway.Master, method: str, phase: str) -> None:
    command = [sys.executable, PROGRAM, master.join, method, phase]
    with subprocess.Popen(command) as process:
        loops: list[Loop] = []
        try:
            loops += [Loop(comm, method) for comm in together(*[lambda: join(master, min_world=3)] * 2)]
            victims = [member.peer for member in loops[0].comm.members if member.name == "victim"]
            assert len(victims) == 1
            left = 3 if phase == "sharing" else 2

            def survive(loop: Loop) -> dict[int, str]:
                last = rounds_of(left, 6)
                return run(loop, lambda result: victims[0] not in [c.peer for c in result.contributors] and last(result))

            threads = [Thread(lambda loop=loop: survive(loop)) for loop in loops]  # type: ignore[misc]
            if phase == "sharing":  # with a newcomer
                loops.append(Loop(join(master), method, 99.0))
                threads.append(Thread(lambda: survive(loops[2])))
            assert_the_same([thread.result() for thread in threads])
            assert process.wait(BOUND) == -signal.SIGKILL
            assert {c.peer for c in loops[0].results[-1].contributors} == {loop.comm.view.me for loop in loops}
        finally:
            process.kill()
            for loop in loops:
                loop.comm.close()


@pytest.mark.parametrize("method", METHODS)
def test_a_newcomer_counts_from_the_next_round(master: seaway.Master, method: str) -> None:
    """It starts somewhere else, gets anchor, momentum and round, and is a contributor of the first round that starts then."""
    loops = [Loop(join(master), method)]
    old = Thread(lambda: run(loops[0], rounds_of(2, 6)))
    loops.append(Loop(join(master), method, 1000.0))
    traces = [run(loops[1], rounds_of(2, 6)), old.result()]
    assert_the_same(traces)
    assert len(traces[0].keys() & traces[1].keys()) >= 6
    assert len(loops[1].results) == 6 and min(traces[0]) > 0  # whatever it took part in, it counted in
    for loop in loops:
        for param in loop.params:
            assert param.max() < 0  # nothing is left of where the newcomer started
        loop.comm.close()


def test_streaming_of_three_follows_the_equations(master: seaway.Master) -> None:
    """Member m moves by -(m + 1) each step; P 2, H 4, tau 1, alpha .5, heavy ball. Worked out in float64."""
    P, H, tau, alpha, lr, mu, steps = 2, 4, 1, 0.5, 0.5, 0.5, 16

    def body(comm: seaway.Communicator) -> list[tuple[float, ...]]:
        w = [np.zeros(700), np.zeros((3, 5))]
        outer = StreamingDiLoCo(
            comm, w, fragments=P, every=H, overlap=tau, alpha=alpha, lr=lr, momentum=mu, nesterov=False
        )
        trace = []
        for _ in range(steps):
            outer.sync()
            for param in w:
                param -= comm.rank + 1
            outer.step()
            trace.append((w[0][0], w[1][0, 0], float(outer.theta[0]), float(outer.theta[-1])))
        return trace

    local = [[0.0] * P for _ in range(3)]
    theta, buf, sent = [0.0] * P, [0.0] * P, [0.0] * P
    expected: list[list[tuple[float, ...]]] = [[], [], []]
    for t in range(1, steps + 1):
        local = [[x - (m + 1) for x in local[m]] for m in range(3)]
        for p in range(P):
            if (t + tau) % H == (p + 1) * H // P % H:
                sent[p] = sum(theta[p] - local[m][p] for m in range(3)) / 3
        for p in range(P):
            if t % H == (p + 1) * H // P % H:
                buf[p] = mu * buf[p] + sent[p]
                theta[p] -= lr * buf[p]
                for m in range(3):
                    local[m][p] = alpha * local[m][p] + (1 - alpha) * theta[p]
        for m in range(3):
            expected[m].append((*local[m], *theta))
    for m, trace in enumerate(cluster(master, 3, body)):
        assert np.allclose(trace, expected[m], rtol=1e-13, atol=0)


def test_rounds_under_way_end_when_newcomers_come(master: seaway.Master) -> None:
    """Overlap as long as possible: there is always a round under way, and a newcomer is admitted all the same."""

    def make(comm: seaway.Communicator) -> tuple[list[Any], StreamingDiLoCo]:
        w = [np.zeros(10, np.float32) for _ in range(3)]
        return w, StreamingDiLoCo(comm, w, fragments=3, every=6, overlap=5)

    def body(comm: seaway.Communicator) -> tuple[int, str]:
        w, outer = make(comm)
        until: int | None = None
        while until is None or outer.inner_step < until:
            if outer.sync().world_size == 2 and until is None:
                until = outer.inner_step + 20
            for param in w:
                param -= 1
            outer.step()
        return outer.inner_step, outer.digest()

    with join(master) as first:
        old = Thread(lambda: body(first))
        with join(master) as second:
            assert body(second) == old.result()


def test_an_aborted_fragment_counts_in_its_next_round(master: seaway.Master) -> None:
    decided = threading.Event()

    def body(comm: seaway.Communicator) -> None:
        w = np.zeros(2)
        outer = StreamingDiLoCo(
            comm, [w], fragments=1, every=2, overlap=1, alpha=0.0, lr=1.0, momentum=0.0, nesterov=False
        )
        outer.sync()
        w -= 1
        if comm.rank == 0:
            outer.step()
            op = outer._flights[0].operation
            op.cancel("once more")
            seaway.wait([op], timeout=BOUND)
            decided.set()
        else:
            assert decided.wait(BOUND)
            outer.step()
        w -= 1
        with pytest.raises(seaway.Aborted):
            outer.step()
        assert outer.inner_step == 2 and outer.round == 0 and w.tolist() == [-2, -2]
        for _ in range(2):
            outer.sync()
            w -= 1
            outer.step()
        assert outer.inner_step == 4 and outer.round == 1 and w.tolist() == outer.theta.tolist() == [-3, -3]

    cluster(master, 2, body)


def test_a_member_comes_back(master: seaway.Master) -> None:
    """It leaves with a round under way and joins again: the rounds of its earlier life are over, it gets the shared state."""
    a, b = together(*[lambda: join(master, min_world=2)] * 2)
    loops = [Loop(comm, "streaming") for comm in (a, b)]
    together(*[lambda loop=loop: run(loop, rounds_of(2, 3)) for loop in loops])  # type: ignore[misc]
    while not loops[1].outer._flights:
        together(*[loop.turn for loop in loops])
    b.leave(BOUND)
    alone = Thread(lambda: run(loops[0], rounds_of(1, 3)))
    alone.result()
    old = Thread(lambda: run(loops[0], rounds_of(2, 6)))
    b.join(BOUND)
    assert_the_same([run(loops[1], rounds_of(2, 6)), old.result()])
    together(a.close, b.close)


def test_codecs_and_error_feedback(master: seaway.Master) -> None:
    """With q8 and error feedback the shared state stays equal everywhere and near the exact one."""

    def body(comm: seaway.Communicator) -> tuple[str, float]:
        w = [np.zeros(5000, np.float32), np.zeros(300, np.float32)]
        drift = np.random.default_rng(comm.rank).standard_normal(5300).astype(np.float32)
        outer = StreamingDiLoCo(
            comm,
            w,
            fragments=2,
            every=4,
            overlap=0,
            alpha=0.0,
            lr=1.0,
            momentum=0.0,
            nesterov=False,
            codec="q8",
            error_feedback=True,
        )
        for _ in range(80):
            outer.sync()
            for param, part in zip(w, np.split(drift, [5000])):
                param -= 0.01 * part
            outer.step()
        total = sum(np.random.default_rng(rank).standard_normal(5300) for rank in range(2)) / 2
        exact = -0.01 * 4 * (outer.round // 2) * total
        ratio = float(np.linalg.norm(outer.theta - exact) / np.linalg.norm(exact))
        return outer.digest(), ratio

    (digest, ratio), other = cluster(master, 2, body)
    assert other == (digest, ratio) and ratio < 0.05


@needs_quorum
def test_diloco_goes_on_without_a_straggler(master: seaway.Master) -> None:
    """NO_WAIT: member 0 makes rounds while member 1 has not come; what 1 has learned is in the first that it comes to."""

    def body(comm: seaway.Communicator) -> tuple[int, float]:
        w = np.zeros(1000)
        outer = DiLoCo(comm, [w], lr=1.0, momentum=0.0, nesterov=False, waiting=NO_WAIT)
        outer.sync()
        if comm.rank == 0:
            for _ in range(3):
                w -= 1
                result = outer.step()
                assert [c.peer for c in result.contributors] == [comm.view.me]
                outer.sync()
            comm.barrier(tag=1)
            comm.barrier(tag=2)
            outer.step()  # the fourth was made by the other; this is the fifth
        else:
            comm.barrier(tag=1)
            w -= 50
            result = outer.step()
            assert [c.peer for c in result.contributors] == [comm.view.me] and w.tolist() == outer.theta.tolist()
            comm.barrier(tag=2)
        return outer.round, float(outer.theta[0])

    assert cluster(master, 2, body) == [(5, -53.0), (4, -53.0)]


@needs_quorum
def test_grace_gathers_those_who_are_near(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> int:
        w = np.zeros(10, np.float32)
        outer = DiLoCo(comm, [w], waiting=Waiting(1, 20.0))
        outer.sync()
        w -= 1
        return len(outer.step().contributors)

    assert cluster(master, 3, body) == [3, 3, 3]


@needs_quorum
def test_decoupled_paces(master: seaway.Master) -> None:
    """One member makes a round every inner step, the other every third: nobody waits, all have the same rounds."""

    def body(comm: seaway.Communicator) -> dict[int, str]:
        w = [np.zeros(100, np.float32) for _ in range(2)]
        every = 2 if comm.rank == 0 else 6
        outer = DecoupledDiLoCo(comm, w, fragments=2, every=every, overlap=1, quorum=1, grace=0.0)
        outer.sync()
        seen = {}
        while outer.round < 40:
            for param in w:
                param -= 1
            outer.step(10.0)
            seen[outer.round] = outer.digest()
        return seen

    one, other = cluster(master, 2, body)
    common = one.keys() & other.keys()
    assert common and all(one[each] == other[each] for each in common)


@needs_quorum
@pytest.mark.parametrize("quorum", [1, 2])
def test_any_pace_a_death_and_a_newcomer(master: seaway.Master, quorum: int) -> None:
    """Every round has one state, whoever made it and whoever came to it later."""
    states: dict[int, str] = {}
    lock = threading.Lock()

    def body(comm: seaway.Communicator, pace: int, dies_at: int | None = None) -> None:
        w = [np.full(3000, float(comm.rank), np.float32) for _ in range(3)]
        outer = DecoupledDiLoCo(comm, w, fragments=3, every=3 * pace, overlap=1, quorum=quorum, grace=0.01)
        finished, sync = outer._finished, outer.sync
        until = [dies_at]

        def look(*arguments: Any) -> None:
            finished(*arguments)
            with lock:
                assert states.setdefault(int(outer._clock[0]), outer.digest()) == outer.digest()

        def sync_and_see() -> seaway.View:
            view = sync()
            if until[0] is None and any(member.name == "newcomer" for member in view.members):
                until[0] = int(outer._clock[0]) + 25  # every member comes to this at the same round
            return view

        outer._finished, outer.sync = look, sync_and_see  # type: ignore[method-assign]
        outer.sync()
        while until[0] is None or outer._clock[0] < until[0]:
            for param in w:
                param -= 1
            outer.step(10.0)
        if dies_at is not None:
            comm.close()

    comms = together(*[lambda: join(master, min_world=3)] * 3)
    threads = [Thread(lambda: body(comms[0], 1)), Thread(lambda: body(comms[1], 5)), Thread(lambda: body(comms[2], 2, 15))]
    comms.append(join(master, name="newcomer"))
    threads.append(Thread(lambda: body(comms[3], 4)))
    for thread in threads:
        thread.result()
    assert len(states) >= 25
    together(*[comm.close for comm in comms])


class TestTorch:
    """The same loops on tensors, which they write through numpy views."""

    torch: Any = None

    @pytest.fixture(autouse=True)
    def _torch(self) -> None:
        self.torch = pytest.importorskip("torch")

    @pytest.mark.parametrize("method", METHODS)
    def test_tensors_are_written_in_place(self, solo: seaway.Communicator, method: str) -> None:
        torch = self.torch
        module = torch.nn.Sequential(*[torch.nn.Linear(3, 2) for _ in range(4)])
        mirror = [param.detach().numpy().copy() for param in module.parameters()]
        loops = [METHODS[method](solo, list(params)) for params in (module.parameters(), mirror)]
        for _ in range(16):
            for loop in loops:
                loop.sync()
            with torch.no_grad():
                for param in module.parameters():
                    param -= 0.25
            for array in mirror:
                array -= 0.25
            for loop in loops:
                loop.step(1.0)
        assert loops[0].round >= 3 and loops[0].digest() == loops[1].digest()
        for param, array in zip(module.parameters(), mirror):
            assert param.requires_grad and (param.detach().numpy() == array).all()

    def test_what_is_no_dense_cpu_tensor_is_refused(self, solo: seaway.Communicator) -> None:
        torch = self.torch
        for match, tensor in {
            "bfloat16 on cpu": torch.zeros(2, dtype=torch.bfloat16),
            "float32 on meta": torch.zeros(2, device="meta"),
        }.items():
            with pytest.raises(seaway.InvalidError, match=match):
                DiLoCo(solo, [tensor])
