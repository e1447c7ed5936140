"""The training state: its names, an optimizer's state before its time, and newcomers."""

from __future__ import annotations

import math
import multiprocessing
import pathlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import seaway  # noqa: E402
import seaway.torch  # noqa: E402
import torch_lanes  # noqa: E402
from conftest import Thread, cluster, join  # noqa: E402
from seaway.torch import init_optimizer_state, named_state, sync_training_state  # noqa: E402
from seaway.torch._pack import pack, unpack  # noqa: E402
from torch import nn  # noqa: E402
from torch.optim.lr_scheduler import LambdaLR, MultiStepLR, OneCycleLR  # noqa: E402
from torch_lanes import LANES, REPLICAS, loss_of, make_model  # noqa: E402
from torch_replicas import in_processes  # noqa: E402

pytestmark = pytest.mark.timeout(240)

Make = Callable[[Any], torch.optim.Optimizer]
OPTIMIZERS: list[tuple[str, Make]] = [
    ("Adam", lambda params: torch.optim.Adam(params, lr=0.1, weight_decay=0.1)),
    ("AdamW", lambda params: torch.optim.AdamW(params, lr=0.1, amsgrad=True)),
    ("SGD", lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9)),
    ("Adagrad", lambda params: torch.optim.Adagrad(params, lr=0.1)),
    ("RMSprop", lambda params: torch.optim.RMSprop(params, lr=0.1, momentum=0.5, centered=True)),
]
by_name = pytest.mark.parametrize("make", [make for _, make in OPTIMIZERS], ids=[name for name, _ in OPTIMIZERS])


def train(model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    loss_of(model, 0, 0, step).backward()
    optimizer.step()
    optimizer.zero_grad()


def same(a: list[tuple[str, Any]], b: list[tuple[str, Any]]) -> None:
    assert [name for name, _ in a] == [name for name, _ in b]
    for (name, x), (_, y) in zip(a, b):
        assert x.dtype == y.dtype and torch.equal(x, y), name


# -- the optimizer's state before its time -----------------------------------------------------------------------------


@by_name
def test_a_filled_optimizer_that_takes_over_a_state_goes_on_as_the_founder(make: Make) -> None:
    founder, newcomer = make_model(1), make_model(2)
    old, new = make(founder.parameters()), make(newcomer.parameters())
    for step in range(3):
        train(founder, old, step)
    init_optimizer_state(old, joiner=False)
    before = [param.detach().clone() for param in newcomer.parameters()]
    init_optimizer_state(new, joiner=True)
    assert all(torch.equal(a, b) for a, b in zip(before, newcomer.parameters()))
    taken = named_state(newcomer, new)
    assert [name for name, _ in taken] == [name for name, _ in named_state(founder, old)]
    for (_, mine), (_, theirs) in zip(taken, named_state(founder, old)):
        mine.copy_(theirs)
    for step in range(3, 5):
        train(founder, old, step)
        train(newcomer, new, step)
    same(named_state(founder, old), named_state(newcomer, new))  # differs by exactly 0.0


@pytest.mark.parametrize("make", [make for _, make in OPTIMIZERS[:3]], ids=[name for name, _ in OPTIMIZERS[:3]])
def test_a_state_of_zeros_is_as_good_as_none(make: Make) -> None:
    fresh, filled = make_model(1), make_model(1)
    plain, zeroed = make(fresh.parameters()), make(filled.parameters())
    init_optimizer_state(zeroed, joiner=True)
    for _, value in named_state(filled, zeroed):
        assert value.dtype is torch.uint8 or value.numel() > 1 or float(value) == 0
    for step in range(2):
        train(fresh, plain, step)
        train(filled, zeroed, step)
    same(named_state(fresh, plain), named_state(filled, zeroed))


def test_filling_refuses_what_it_would_spoil() -> None:
    model = make_model()
    optimizer = torch.optim.AdamW(model.parameters())
    loss_of(model, 0, 0, 0).backward()
    with pytest.raises(seaway.InvalidError, match=r"param_groups\[0\]\['params'\]\[0\] has a gradient"):
        init_optimizer_state(optimizer, joiner=True)
    init_optimizer_state(optimizer, joiner=False)
    assert not optimizer.state

    class Halfway(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            self.state[self.param_groups[0]["params"][0]] = {"seen": torch.ones(1)}

    with pytest.raises(seaway.InvalidError, match=r"no state for param_groups\[0\]\['params'\]\[1\]"):
        init_optimizer_state(Halfway(make_model().parameters(), lr=0.1), joiner=True)
    init_optimizer_state(torch.optim.SGD(make_model().parameters(), lr=0.1), joiner=True)  # has no state at all


# -- names -------------------------------------------------------------------------------------------------------------


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(7, 4)
        self.norm = nn.BatchNorm1d(4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.token.weight
        self.register_buffer("mask", torch.ones(3, dtype=torch.bool))
        self.register_buffer("cache", torch.ones(3), persistent=False)

    def forward(self, x: Any) -> Any:
        return self.head(self.norm(self.token(x)))


def test_names_do_not_depend_on_the_order_of_the_optimizer() -> None:
    torch.manual_seed(1)
    model = Tied()
    weights, others = [model.token.weight], [model.norm.weight, model.norm.bias]
    orders = [
        [{"params": weights, "lr": 0.1}, {"params": others}],
        [{"params": others[::-1]}, {"params": weights, "lr": 0.1}],
    ]
    states = []
    for order in orders:
        optimizer = torch.optim.AdamW(order, lr=0.2)
        init_optimizer_state(optimizer, joiner=True)
        states.append(named_state(model, optimizer, [("average", torch.zeros(2))]))
    same(states[0], states[1])
    names = [name for name, _ in states[0]]
    assert names == sorted(names) and "average" in names and "optim.options" in names
    assert [name for name in names if name.startswith("model.")] == [
        "model.head.weight",  # of the two names of a tied weight the first
        "model.mask",
        "model.norm.bias",
        "model.norm.num_batches_tracked",
        "model.norm.running_mean",
        "model.norm.running_var",
        "model.norm.weight",
    ]
    assert "optim.head.weight.exp_avg" in names and "optim.norm.bias.step" in names
    # They are the model's own memory.
    dict(states[0])["model.norm.weight"].fill_(3)
    assert model.norm.weight.tolist() == [3] * 4


def test_names_that_clash_or_are_nobodys() -> None:
    model = make_model()
    with pytest.raises(seaway.InvalidError, match="model.0.bias is there twice"):
        named_state(model, extra=[("model.0.bias", torch.zeros(1))])
    with pytest.raises(seaway.InvalidError, match=r"\[1\]\['params'\]\[0\] of the optimizer is no parameter"):
        named_state(model, torch.optim.SGD([{"params": model.parameters()}, {"params": [torch.ones(1)]}], lr=1.0))
    wrapped = torch.compile(model)
    assert [name for name, _ in named_state(wrapped)] == [name for name, _ in named_state(model)]


def test_packing() -> None:
    value = {
        "a": [1, -(2**63), 2.5, math.inf, True, None, "ä", b"\0"], 3: (1,), "c": Counter({30: 2}), "d": {}, "x": torch.tensor(0.5)
    }  # fmt: skip
    again = unpack(pack(value))
    assert again == value and type(again["c"]) is Counter and type(again[3]) is tuple and again["x"].dtype is torch.float32
    assert pack({"a": 1, "b": 2}) == pack({"b": 2, "a": 1})
    assert len({len(pack(each)) for each in (0, 2**62, 0.1, None, False)}) == 1
    for wrong in (object(), 2**64, {"a": [object()]}, torch.zeros(2)):
        with pytest.raises(seaway.InvalidError, match="numbers of 64 bits"):
            pack(wrong)
    packed = pack(value)
    for data in (b"", packed[:-1], packed + b"n", b"?" + bytes(8), b"l" + b"\xff" * 8, b"s" + b"\1" + bytes(7) + b"\xff"):
        with pytest.raises(seaway.InvalidError, match="another member"):
            unpack(data)


# -- newcomers ---------------------------------------------------------------------------------------------------------


def schedule(optimizer: torch.optim.Optimizer, kind: str) -> Any:
    if kind == "MultiStepLR":
        return MultiStepLR(optimizer, [2, 4], gamma=0.5)
    return OneCycleLR(optimizer, 0.1, total_steps=100_000) if kind == "OneCycleLR" else LambdaLR(optimizer, lambda n: 1 / (1 + n))


@pytest.mark.parametrize(
    ("make", "kind"),
    [(OPTIMIZERS[0][1], "MultiStepLR"), (OPTIMIZERS[1][1], "OneCycleLR"), (OPTIMIZERS[2][1], "LambdaLR")],
    ids=["Adam", "AdamW", "SGD"],
)
def test_a_newcomer_is_where_the_founder_is(master: seaway.Master, make: Make, kind: str) -> None:
    def member(comm: seaway.Communicator, seed: int, founder: bool) -> Any:
        model = make_model(seed)
        params = list(model.parameters())
        optimizer = make(params if founder else params[::-1])
        scheduler = schedule(optimizer, kind)
        step, together, seen = 0, 0, []
        thread = None
        while together < 3:
            mine = f"{comm.view.member(comm.rank).replica} at {step}".encode()
            at = sync_training_state(
                comm, model, optimizer, scheduler, step=step, data=("shard", step), private=mine, extra=[("e", torch.ones(1))]
            )
            seen.append(at)
            step = at.step
            assert at.data == ("shard", step)
            together += at.view.world_size == 2
            if together < 3:
                train(model, optimizer, step)
                scheduler.step()
                step += 1
            if founder and step == 3:
                thread = Thread(newcomer)
        state = [(name, value.clone()) for name, value in named_state(model, optimizer)]
        comm.barrier(tag=7)
        return state, step, scheduler.state_dict(), seen, thread

    def newcomer() -> Any:
        with join(master, replica=2) as comm:
            return member(comm, 2, False)

    with join(master, replica=1) as comm:
        state, step, schedule_state, seen, thread = member(comm, 1, True)
    state2, step2, schedule_state2, seen2, _ = thread.result()
    same(state, state2)
    assert step == step2 and schedule_state == schedule_state2
    assert [at.caught_up for at in seen].count(True) == 0 and [at.caught_up for at in seen2] == [True, False, False]
    assert seen2[0].private is None and not seen2[0].orphans  # nobody has been replica 2 before


def test_a_founder_without_a_state_of_its_optimizer_has_newcomers_without_one(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> tuple[int, list[tuple[str, Any]]]:
        model = make_model(comm.rank)
        optimizer = torch.optim.AdamW(model.parameters())
        if comm.rank == 1:
            init_optimizer_state(optimizer, joiner=True)
        at = sync_training_state(comm, model, optimizer, step=4 if comm.rank == 0 else 3)
        return at.step, named_state(model, optimizer)

    (step, state), (step2, state2) = cluster(master, 2, body)
    assert step == step2 == 4 and not any("exp_avg" in name for name, _ in state)
    same(state, state2)


def test_a_successor_gets_what_its_predecessor_gave_and_others_see_who_is_gone(master: seaway.Master) -> None:
    model, step = make_model(), 0

    def other(replica: int, gives: list[bytes]) -> list[Any]:
        with join(master, replica=replica) as comm:
            seen = []
            for private in gives:
                seen.append(sync_training_state(comm, make_model(9), step=0, private=private))
            return seen

    def founder_until(comm: seaway.Communicator, thread: Thread) -> Any:
        while thread.is_alive():
            at = sync_training_state(comm, model, step=step, private=b"mine")
        return at

    with join(master, replica=1) as comm:
        sync_training_state(comm, model, step=step, private=b"mine")
        first = Thread(lambda: other(2, [b"first", b"second, longer"]))
        founder_until(comm, first)
        assert [at.private for at in first.result()] == [None, None]
        third = Thread(lambda: other(3, [b""]))
        founder_until(comm, third)
        assert third.result()[0].private is None and third.result()[0].orphans == {2: b"second, longer"}
        again = Thread(lambda: other(2, [b"lost", b"own"]))
        founder_until(comm, again)
        at, later = again.result()
        assert at.private == b"second, longer" and at.caught_up and later.private is None
        assert at.orphans == {3: b""}


def test_a_newcomer_that_does_not_fit_leaves_with_the_reason_and_holds_up_nobody(master: seaway.Master) -> None:
    def misfit(model: nn.Module, optimizer: Any) -> None:
        with join(master) as comm:
            with pytest.raises(seaway.InvalidError) as raised:
                sync_training_state(comm, model, optimizer, step=0)
            texts.append(str(raised.value))

    texts: list[str] = []
    other = nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Linear(9, 4))
    with join(master) as comm:
        model = make_model()
        optimizer = torch.optim.AdamW(model.parameters())
        sync_training_state(comm, model, optimizer, step=1)
        train(model, optimizer, 0)
        step = 2
        for wrong in (other, make_model()):
            adam = torch.optim.Adam(wrong.parameters()) if wrong is other else torch.optim.SGD(wrong.parameters(), lr=1.0)
            thread = Thread(lambda wrong=wrong, adam=adam: misfit(wrong, adam))  # type: ignore[misc]
            while thread.is_alive():
                at = sync_training_state(comm, model, optimizer, step=step)
                assert at.step == step and not at.caught_up
            thread.result()
        train(model, optimizer, 1)
    assert "model.2.bias is 4 x float32 here and 3 x float32 at the others" in texts[0] and "left the run" in texts[0]
    assert "the optimizer's state of 0.bias is [] here" in texts[1]


def test_arguments(solo: seaway.Communicator) -> None:
    model = make_model()
    with pytest.raises(seaway.InvalidError, match="step"):
        sync_training_state(solo, model, step=-1)
    with pytest.raises(seaway.InvalidError, match="private"):
        sync_training_state(solo, model, step=1, private="text")  # type: ignore[arg-type]
    with pytest.raises(seaway.InvalidError, match=r"the value\['data'\]"):
        sync_training_state(solo, model, step=1, data=object())
    with pytest.raises(TypeError, match="Communicator"):
        sync_training_state(None, model, step=1)
    with torch.device("meta"), pytest.raises(seaway.InvalidError, match="only dense tensors with memory"):
        sync_training_state(solo, nn.Linear(2, 2), step=1)
    at = sync_training_state(solo, model, step=5, data=1)
    assert (at.step, at.data, at.caught_up) == (5, 1, False) and at.sync is not None
    assert sync_training_state(solo, model, step=6).sync is None  # nobody new


def test_memory_that_is_not_plain_is_copied_and_put_back(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> Any:
        model = nn.Conv2d(3, 4, 2).to(memory_format=torch.channels_last)
        extra = [
            ("bool", torch.full((3,), comm.rank == 0)),
            ("complex", torch.full((2,), 1j * comm.rank)),
            ("empty", torch.zeros(0, 4)),
            ("float8", torch.full((2,), float(comm.rank)).to(torch.float8_e4m3fn)),
        ]
        sync_training_state(comm, model, step=comm.rank, extra=extra)
        assert model.weight.is_contiguous(memory_format=torch.channels_last)
        return named_state(model, extra=extra)

    first, second = cluster(master, 2, body)
    same([(n, x.float() if "8" in n else x) for n, x in first], [(n, x.float() if "8" in n else x) for n, x in second])
    assert not dict(first)["bool"].any() and dict(first)["complex"][0] == 1j


# -- with lanes --------------------------------------------------------------------------------------------------------


def test_a_newcomer_of_two_lanes_is_where_the_founder_is(master: seaway.Master, tmp_path: pathlib.Path) -> None:
    started = multiprocessing.get_context("spawn").Event()
    ended = in_processes(
        torch_lanes.newcomer,
        [(master.join, str(tmp_path), r, lane, started) for r in range(REPLICAS) for lane in range(LANES)],
    )
    for lane in range(LANES):
        founder, newcomer = ended[lane], ended[LANES + lane]
        assert founder["state"] == newcomer["state"]  # differs by exactly 0.0
        assert founder["step"] == newcomer["step"] >= 5 and founder["lr"] == newcomer["lr"]
        assert (founder["caught_up"], newcomer["caught_up"]) == (0, 1)
