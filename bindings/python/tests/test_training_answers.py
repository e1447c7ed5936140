"""The arithmetic and the outer loops against their known answers: exact in float64, within rounding in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lockstep import Group

import seaway
from seaway.training import (
    NO_WAIT,
    DecoupledDiLoCo,
    DelayedDiLoCo,
    DiLoCo,
    StreamingDiLoCo,
    lincomb,
    outer_step,
    token_weight,
)
from seaway.training._streaming import Schedule

DTYPES = [np.float32, np.float64]

# theta 1, gradients .5, .5, -.25, lr .7.
GRADIENTS = (0.5, 0.5, -0.25)
OPTIMIZERS = {
    "SGD": ({"momentum": 0.0, "nesterov": False}, (0.65, 0.3, 0.475), (0.5, 0.5, -0.25)),
    "heavy ball": ({"momentum": 0.9, "nesterov": False}, (0.65, -0.015, -0.4385), (0.5, 0.95, 0.605)),
    "Nesterov": ({"momentum": 0.9, "nesterov": True}, (0.335, -0.6135, -0.81965), (0.5, 0.95, 0.605)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_outer_optimizers(name: str, dtype: Any) -> None:
    options, thetas, bufs = OPTIMIZERS[name]
    theta, buf = np.ones(77, dtype), np.zeros(77, dtype)
    exact, exact_buf, mu = 1.0, 0.0, options["momentum"]
    for gradient, expected, expected_buf in zip(GRADIENTS, thetas, bufs):
        outer_step(theta, buf, np.full(77, gradient, dtype), lr=0.7, **options)
        exact_buf = mu * exact_buf + gradient
        exact -= 0.7 * (gradient + mu * exact_buf if options["nesterov"] else exact_buf)
        close = 1e-6 if dtype is np.float32 else 1e-15
        assert theta.tolist() == pytest.approx([expected] * 77, abs=close)
        assert buf.tolist() == pytest.approx([expected_buf] * 77, abs=close)
        if dtype is np.float64:
            assert (theta == exact).all() and (buf == exact_buf).all()
    assert theta.dtype == buf.dtype == dtype


def test_outer_step_rounds_each_operation_once() -> None:
    random = np.random.default_rng(3)
    theta, buf, gradient = (random.standard_normal(1001).astype(np.float32) for _ in range(3))
    rate, mu = np.float32(0.7), np.float32(0.9)
    expected_buf = mu * buf + gradient
    expected = theta - rate * (mu * expected_buf + gradient)
    outer_step(theta, buf, gradient)
    assert (buf == expected_buf).all() and (theta == expected).all()


def test_nesterov_is_mulocos_form_too() -> None:
    random = np.random.default_rng(0)
    theta, buf = np.ones(50), np.zeros(50)
    other, u = np.ones(50), np.zeros(50)
    for _ in range(10):
        gradient = random.standard_normal(50)
        outer_step(theta, buf, gradient)
        u = 0.9 * u + 0.7 * gradient
        other -= 0.9 * u + 0.7 * gradient
    assert np.allclose(theta, other, atol=1e-13)


def test_lincomb() -> None:
    a, b = np.arange(5.0), np.full(5, 2.0)
    out = np.empty(5)
    lincomb(out, [(0.5, a), (0.25, b)])
    assert out.tolist() == [0.5, 1.0, 1.5, 2.0, 2.5]
    lincomb(a, [(1.0, b), (-1.0, a)])  # in place
    assert a.tolist() == [2, 1, 0, -1, -2]


def test_sqnorm_adds_up_by_blocks() -> None:
    x = np.zeros(2 * 16384 + 2, np.float32)
    x[0] = 2.0**27
    x[16384:16386] = x[32768:] = 1
    assert seaway.sqnorm(x) == 2.0**54 and seaway.sqnorm(x[1:]) == 4.0
    assert seaway.sqnorm(np.zeros(0, np.float32)) == 0.0
    for wrong in (np.zeros(3), np.zeros(3, np.int32)):
        with pytest.raises(seaway.InvalidError, match="x must be float32"):
            seaway.sqnorm(wrong)


def test_hash_is_of_the_bytes() -> None:
    x = np.arange(100_000, dtype=np.float64)
    assert seaway.hash(x) == seaway.hash(x.view(np.uint8)) == seaway.hash(memoryview(x))
    assert len(seaway.hash(x)) == 32 and seaway.hash(x) != seaway.hash(-x)
    assert seaway.hash(b"") == "99aa06d3014798d86001c324468d497f"


def test_arithmetic_says_what_it_wants() -> None:
    x, y, z = np.zeros(3, np.float32), np.zeros(3, np.float32), np.zeros(4, np.float32)
    for wrong in (
        lambda: outer_step(x, x, y),
        lambda: outer_step(x, y, z),
        lambda: outer_step(x, y, np.zeros(3)),
        lambda: outer_step(x, y, np.zeros(3, np.float32), lr=float("nan")),
        lambda: outer_step(*(np.zeros(3, np.int32) for _ in range(3))),
    ):
        with pytest.raises(seaway.InvalidError, match="float32 or float64, alike"):
            wrong()
    for wrong in (lambda: lincomb(x, []), lambda: lincomb(x, [(1, z)]), lambda: lincomb(z[1:], [(1, z[:3])])):
        with pytest.raises(seaway.InvalidError, match="at least one"):
            wrong()
    for listed in (lambda: outer_step([x], y, x), lambda: lincomb(x, [(1, [])]), lambda: seaway.hash([x, y]), lambda: seaway.sqnorm(())):
        with pytest.raises(seaway.InvalidError, match="give one array"):
            listed()
    with pytest.raises(seaway.InvalidError, match="gradient is not contiguous"):
        outer_step(x, y, np.zeros(6, np.float32)[::2])
    x.flags.writeable = False
    with pytest.raises(seaway.InvalidError, match="theta is read-only"):
        outer_step(x, y, np.zeros(3, np.float32))


# -- Streaming DiLoCo: two fragments, six inner steps, every step moves a parameter by -2, outer SGD of rate 2 --------------

FIXTURES = [(tau, alpha) for tau in (0, 1) for alpha in (0.0, 0.5, 1.0)]
STEPS = 15


def by_the_book(tau: int, alpha: float) -> list[tuple[list[float], list[float]]]:
    """(theta_m, theta) of both fragments after each of the steps 0 .. 15."""
    every, fragments = 6, 2
    local, shared, sent = [1.0] * fragments, [1.0] * fragments, [0.0] * fragments
    at, rounds = 0, 0
    trace = [(local[:], shared[:])]
    for _ in range(STEPS):
        local = [x - 2 for x in local]
        at += 1
        f = rounds % fragments
        if at == every // fragments - tau:
            sent[f] = shared[f] - local[f]
        if at == every // fragments:
            shared[f] -= 2 * sent[f]
            local[f] = shared[f] + alpha * (local[f] - shared[f])
            at, rounds = 0, rounds + 1
        trace.append((local[:], shared[:]))
    return trace


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("tau", "alpha"), FIXTURES)
def test_streaming_fixtures(tau: int, alpha: float, dtype: Any) -> None:
    layers = [np.ones((2, 3), dtype), np.ones(5, dtype)]
    comm = Group(1).members[0]  # equal replicas: the mean is each one's own
    outer = StreamingDiLoCo(
        comm, layers, fragments=2, every=6, overlap=tau, alpha=alpha, lr=2.0, momentum=0.0, nesterov=False
    )
    outer.sync()
    trace = []
    for step in range(STEPS + 1):
        if step > 0:
            for layer in layers:
                layer -= 2
            outer.step()
        trace.append(([float(layer.flat[-1]) for layer in layers], [float(outer.theta[0]), float(outer.theta[-1])]))
    assert trace == by_the_book(tau, alpha)  # small integers and halves: exact in both dtypes
    assert outer.round == 5 and outer.inner_step == STEPS


@pytest.mark.parametrize(
    ("tau", "alpha", "layer_0", "layer_1", "synced"),
    [
        (0, 0.0, (-11, -35), (-23, -47), (-11, -23, -35, -47)),
        (0, 0.5, (-8, -24.5), (-17, -32), (-11, -23, -29, -35)),
        (0, 1.0, (-5, -17), (-11, -23), (-11, -23, -23, -23)),
        (1, 0.0, (-7, -27), (-19, -39), (-7, -19, -27, -39)),
        (1, 0.5, (-6, -21.5), (-15, -29), (-7, -19, -25, -31)),
        (1, 1.0, (-5, -17), (-11, -23), (-7, -19, -23, -23)),
    ],
)
def test_the_book_is_the_published_table(tau: int, alpha: float, layer_0: Any, layer_1: Any, synced: Any) -> None:
    trace = by_the_book(tau, alpha)
    assert (trace[3][0][0], trace[9][0][0]) == layer_0
    assert (trace[6][0][1], trace[12][0][1]) == layer_1
    assert tuple(trace[step][1][p] for step, p in ((3, 0), (6, 1), (9, 0), (12, 1))) == synced


def test_every_fragment_has_its_turn_once_in_h_steps() -> None:
    for fragments, every, overlap in ((1, 1, 0), (3, 10, 2), (4, 100, 5), (24, 100, 30), (7, 7, 6)):
        schedule = Schedule(fragments, every, overlap)
        for step in range(every + 1, 3 * every):
            for p in schedule.merged(step):
                assert p in schedule.started(step - overlap)
        for start in (1, 17, 50):
            times = range(start, start + every)
            assert sorted(p for t in times for p in schedule.merged(t)) == list(range(fragments))
            assert max(len(schedule.merged(t)) for t in times) == 1  # a fragment at a time


def test_layers_are_strided_and_stay_together() -> None:
    layers = [[np.full(2, i, np.float32), np.full((1, 1), i + 0.5, np.float32)] for i in range(5)]
    outer = StreamingDiLoCo(Group(1).members[0], layers, fragments=2, every=4)
    assert outer.theta.tolist() == [0, 0, 0.5, 2, 2, 2.5, 4, 4, 4.5, 1, 1, 1.5, 3, 3, 3.5]


# -- Decoupled DiLoCo ---------------------------------------------------------------------------------------------------------


def test_token_weights() -> None:
    weights = [token_weight(1000, 10), token_weight(500, 10)]
    assert [weight / sum(weights) for weight in weights] == [0.8, 0.2]
    assert token_weight(0, 0) == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_decoupled_weighs_by_tokens(dtype: Any) -> None:
    params = [np.zeros(3, dtype), np.zeros(3, dtype)]
    outers = [
        DecoupledDiLoCo(
            comm, [w], fragments=1, every=10, overlap=1, alpha=0.0, quorum=2, lr=1.0, momentum=0.0, nesterov=False
        )
        for comm, w in zip(Group(2).members, params)
    ]
    for outer in outers:
        outer.sync()
    results = []
    for step in range(11):
        for m, outer in enumerate(outers):
            params[m] -= (1.0, 2.0)[m] if step < 10 else 0  # D: 10 and 20
            results += outer.step((100, 50)[m])
    assert len(results) == 2 and [c.weight for c in results[0].contributors] == [1e5, 2.5e4]
    for outer, w in zip(outers, params):
        assert outer.theta.tolist() == pytest.approx([-12.0] * 3) and w.tolist() == outer.theta.tolist()


def test_decoupled_nobody_waits_for_the_slow_and_nothing_is_lost() -> None:
    """Member 1 makes one inner step to three of member 0's. Rounds are made by one; the slow one's work comes in every few."""
    group = Group(2)
    params = [np.zeros(1), np.zeros(1)]
    outers = [
        DecoupledDiLoCo(
            comm, [w], fragments=1, every=2, overlap=0, alpha=0.0, quorum=1, lr=1.0, momentum=0.0, nesterov=False
        )
        for comm, w in zip(group.members, params)
    ]
    states: list[dict[int, str]] = [{}, {}]
    for outer, seen in zip(outers, states):
        outer.sync()
        finished = outer._finished

        def look(*arguments: Any, outer: Any = outer, seen: dict[int, str] = seen, finished: Any = finished) -> None:
            finished(*arguments)
            seen[outer.round] = outer.digest()

        outer._finished = look  # type: ignore[method-assign]
    for turn in range(30):
        for m in (0, 1):
            if m == 0 or turn % 3 == 2:
                params[m] -= 1
                outers[m].step(1.0)
    # All rounds of one are the other's, and neither is more than a pace behind.
    both = states[0].keys() & states[1].keys()
    assert len(both) >= 18 and all(states[0][r] == states[1][r] for r in both)
    assert abs(outers[0].round - outers[1].round) <= 2
    counted = [op.contributors[0] for op in group.ops]
    assert [c.peer for c in counted].count(0) == 15 and [c.peer for c in counted].count(1) == 5
    assert {c.weight for c in counted} == {2.0}
    assert max(outers, key=lambda outer: outer.round).theta.tolist() == [-40]  # every inner step counted once


# -- DiLoCo that does not wait ------------------------------------------------------------------------------------------------


def test_who_comes_too_late_keeps_its_work_for_the_next_round() -> None:
    group = Group(2)
    params = [np.zeros(2), np.zeros(2)]
    outers = [
        DiLoCo(comm, [w], lr=1.0, momentum=0.0, nesterov=False, waiting=NO_WAIT) for comm, w in zip(group.members, params)
    ]
    for outer in outers:
        outer.sync()
    params[0] -= 1
    outers[0].step()
    params[0] -= 1
    outers[0].step()
    assert params[0].tolist() == [-2, -2] and outers[0].round == 2
    params[1] -= 5
    result = outers[1].step()  # two rounds went on without it: its work makes the third
    assert outers[1].round == 3 and [c.peer for c in result.contributors] == [1]
    assert params[1].tolist() == outers[1].theta.tolist() == [-7, -7]
    params[0] -= 1
    outers[0].step()
    assert outers[0].round == 4 and params[0].tolist() == outers[0].theta.tolist() == [-8, -8]  # nothing is undone


# -- a delay of one round -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_naive_is_one_round_behind(dtype: Any) -> None:
    w = np.zeros(3, dtype)
    outer = DelayedDiLoCo(Group(1).members[0], [w], eager=False, lr=1.0, momentum=0.0, nesterov=False)
    for rounds in range(1, 8):
        outer.sync()
        w += 1
        result = outer.step()
        assert (result is None) == (rounds == 1)
        assert outer.theta.tolist() == w.tolist() == [rounds - 1] * 3 and outer.round == rounds - 1


def test_eager_replaces_its_own_stale_part() -> None:
    """SGD of rate 1: theta_m moves by -(G + (D_m^t - D_m^(t-1)) / M). Here G is [.5, .7] after the correction."""
    group = Group(2)
    params = [np.zeros(2), np.zeros(2)]
    outers = [
        DelayedDiLoCo(comm, [w], eager=True, lr=1.0, momentum=0.0, nesterov=False) for comm, w in zip(group.members, params)
    ]
    stale, fresh = np.array([0.4, 0.8]), np.array([0.2, 1.0])
    others = np.array([0.8, 0.4])
    for outer, work in zip(outers, (stale, others)):
        outer.sync()
        outer._fragments[0].params[0][:] -= work
        outer.step()
    mean = (stale + others) / 2  # [.6, .6]
    before = params[0].copy()
    params[0] -= fresh
    outers[0].step()
    assert np.allclose(before - params[0], mean + (fresh - stale) / 2, atol=1e-15)
    assert np.allclose(mean + (fresh - stale) / 2, [0.5, 0.7], atol=1e-15)


@pytest.mark.parametrize("nesterov", [True, False])
def test_eager_equals_its_direct_form(nesterov: bool) -> None:
    """12 rounds of 3 members: theta + c_m against an optimizer of each member's own, fed with the corrected gradient."""
    size, members, rounds = 20, 3, 12
    random = np.random.default_rng(1)
    start = random.standard_normal(size)
    params = [start.copy() for _ in range(members)]
    outers = [DelayedDiLoCo(comm, [w], eager=True, nesterov=nesterov) for comm, w in zip(Group(members).members, params)]
    direct = [start.copy() for _ in range(members)]
    bufs = [np.zeros(size) for _ in range(members)]
    last = [np.zeros(size) for _ in range(members)]
    for _ in range(rounds):
        # What a member learns depends on where it is.
        work = [0.1 * random.standard_normal(size) for _ in range(members)]
        fresh = [0.2 * direct[m] + work[m] for m in range(members)]
        mean = sum(last) / members
        for m, outer in enumerate(outers):
            outer.sync()
            params[m] -= 0.2 * params[m] + work[m]
        for m, outer in enumerate(outers):
            outer.step()
            corrected = mean + (fresh[m] - last[m]) / members
            bufs[m] = 0.9 * bufs[m] + corrected
            direct[m] = direct[m] - 0.7 * (corrected + 0.9 * bufs[m] if nesterov else bufs[m])
            last[m] = fresh[m]
            assert np.abs(params[m] - direct[m]).max() < 1e-12
        assert len({outer.digest() for outer in outers}) == 1


# -- weights ------------------------------------------------------------------------------------------------------------------


def test_a_weight_of_zero_is_no_zero_vector() -> None:
    """D = .4 and .8; a third that has learned nothing yet: .6 with weight 0, .4 with weight 1."""
    for weight, expected in ((0.0, 0.6), (1.0, 0.4)):
        group = Group(3)
        params = [np.zeros(1) for _ in range(3)]
        outers = [
            DiLoCo(comm, [w], lr=1.0, momentum=0.0, nesterov=False) for comm, w in zip(group.members, params)
        ]
        for m, outer in enumerate(outers):
            outer.sync()
            params[m] -= (0.4, 0.8, 0.0)[m]
            outer.start((1.0, 1.0, weight)[m])
        for outer in outers:
            outer.finish()
            assert outer.theta.tolist() == pytest.approx([-expected])


def test_wrong_arguments_name_what_is_wrong() -> None:
    comm = Group(1).members[0]
    w = [np.zeros(2, np.float32), np.zeros(2, np.float32)]
    for match, wrong in {
        r"params\[1\]\[0\] is no writable": lambda: DiLoCo(comm, [w[0], [np.zeros(2, np.int32)]]),
        "float32 and float64; give arrays of one dtype": lambda: DiLoCo(comm, [w[0], np.zeros(2)]),
        "params are none": lambda: DiLoCo(comm, []),
        "fragments is 3; give 1 to 2": lambda: StreamingDiLoCo(comm, w, fragments=3, every=9),
        "every is 1; give 2": lambda: StreamingDiLoCo(comm, w, fragments=2, every=1),
        "overlap is 4; give 0 to 3": lambda: StreamingDiLoCo(comm, w, fragments=2, every=4, overlap=4),
        "alpha is 1.5": lambda: StreamingDiLoCo(comm, w, fragments=2, every=4, alpha=1.5),
        "every is 1 and overlap 2": lambda: DecoupledDiLoCo(comm, w, fragments=2, every=1),
        "alpha is -1": lambda: DecoupledDiLoCo(comm, w, fragments=2, every=4, alpha=-1),
        "error_feedback needs a codec": lambda: DiLoCo(comm, w, error_feedback=True),
    }.items():
        with pytest.raises(seaway.InvalidError, match=match):
            wrong()
