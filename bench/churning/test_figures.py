"""The figures of a run that was written by hand."""

import pytest

from churning import figures
from churning.figures import Kill


def said(event, at, replica, peer, **values):
    return {"event": event, "at": at, "replica": replica, "peer": peer, **values}


def step(number, at, replica, peer, contributors, lost=(), **values):
    defaults = {"posted": at - 0.1, "loss": 1.0, "attempt": 0, "hash": f"{number:x}"}
    return said("step", at, replica, peer, step=number, contributors=list(contributors), lost=list(lost), **{**defaults, **values})


# Two replicas, a step a second. Replica 1 is killed at 3.5, in the middle of step 4; a step without it is aborted; it comes back
# for step 7.
RUN = [
    *(step(n, float(n), r, 10 + r, (10, 11)) for n in (1, 2, 3) for r in (0, 1)),
    said("epoch", 3.8, 0, 10, members=[10]),
    step(4, 4.2, 0, 10, (10,), lost=(11,), posted=3.4),
    said("aborted", 5.0, 0, 10, step=5, attempt=0, began=4.3, why="asked for"),
    {"event": "begun", "at": 4.5, "replica": 1},
    step(5, 5.2, 0, 10, (10,), attempt=1),
    step(6, 6.2, 0, 10, (10,)),
    said("member", 6.3, 1, 12, members=[10, 12]),
    said("synced", 6.5, 1, 12, step=6),
    *(step(n, float(n) + 0.2, r, (10, 12)[r], (10, 12)) for n in (7, 8) for r in (0, 1)),
]


def test_steps_and_attempts():
    steps = figures.steps_of(RUN)
    assert [each.number for each in steps] == list(range(1, 9))
    assert [each.contributors for each in steps] == [2, 2, 2, 1, 1, 1, 2, 2]
    assert steps[3].lost == 1
    assert figures.attempted(RUN) == 9


def test_goodput_counts_tokens_of_contributors():
    steps = figures.steps_of(RUN)
    assert figures.usual_interval(steps, 2) == pytest.approx(1.0)
    # From step 1 at 1.0 to step 8 at 8.2: 2 + 2 + 1 + 1 + 1 + 2 + 2 of 2 * 7.2.
    assert figures.goodput(steps, 2) == pytest.approx(11 / 14.4)


def test_recovery():
    (kill,) = figures.recoveries(RUN, [Kill(3.5, 1, 11)])
    assert kill == pytest.approx((0.3, 0.4, 0.7, 1.8, 0.2))


def test_returns():
    assert figures.returns(RUN, [Kill(3.5, 1, 11)]) == [6.5]
    assert figures.returns(RUN, [Kill(3.5, 1, 11), Kill(6.4, 1, 12)]) == [6.5]
    assert figures.returns(RUN, [Kill(3.5, 1, 11), Kill(6.6, 1, 12)]) == [6.5]


def test_who_does_not_come_back():
    until = [message for message in RUN if message["at"] < 4.4]
    (kill,) = figures.recoveries(until, [Kill(3.5, 1, 11)])
    assert kill == pytest.approx((0.3, 0.4, 0.0, None, None))


def test_nobody_notices():
    (kill,) = figures.recoveries([message for message in RUN if message["event"] != "epoch"], [Kill(3.5, 1, 11)])
    assert kill.detect is None
    assert kill.agree == 0.0


@pytest.mark.parametrize("other", [{"hash": "ff"}, {"contributors": [10]}])
def test_replicas_that_differ_are_an_error(other):
    with pytest.raises(figures.Disagreement, match="step 2"):
        figures.steps_of([*RUN, {**RUN[2], **other}])
