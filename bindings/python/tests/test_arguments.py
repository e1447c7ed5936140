"""Arguments that are wrong, and those that come from the environment."""

from __future__ import annotations

import math
import socket
from typing import Any

import numpy as np
import pytest

import seaway
from conftest import BOUND, cluster, join

NAN = math.nan


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"join": "127.0.0.1:7117"}, "does not begin with"),
        ({"join": "seaway1/127.0.0.1:7117/00"}, "3 parts"),
        ({"join": "@/nowhere/join"}, "cannot be read"),
        ({"join": "nowhere", "plaintext": True}, "master|HOST:PORT"),
        ({"join": "127.0.0.1:99999", "plaintext": True}, "master|port|HOST:PORT"),
        ({"join": 7}, "join"),
        ({"join": "127.0.0.1:7117", "ca": "/nowhere/ca.pem"}, "ca, cert and key"),
        ({"join": "127.0.0.1:7117", "ca": "/nowhere/ca.pem", "cert": "c", "key": "k"}, "/nowhere/ca.pem"),
        ({"join": "127.0.0.1:7117", "key": 7}, "key must be a str"),
        ({"join": "a\0b:1"}, "join"),
        ({"name": "x" * 257}, "name"),
        ({"replica": -1}, "replica"),
        ({"replica": 2**32}, "replica"),
        ({"lanes": 0}, "lanes"),
        ({"lanes": 2, "lane": 0}, "replica"),
        ({"lanes": 2, "lane": 2, "replica": 0}, "lane"),
        ({"min_world": "two"}, "min_world"),
        ({"connections": 65}, "connections"),
        ({"listen": "nowhere"}, "listen"),
        ({"advertise": "127.0.0.1:1"}, "advertise"),
        ({"advertise": ["127.0.0.1:1"] * 9}, "advertise"),
        ({"timeout": NAN}, "NaN"),
    ],
)
def test_a_wrong_argument_is_named(master: seaway.Master, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(seaway.InvalidError, match=words):
        seaway.Communicator(**{"join": master.join, "timeout": BOUND, **arguments})


@pytest.mark.parametrize("plaintext", [False, True])
def test_the_environment_fills_what_is_not_given(plaintext: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with seaway.Master(plaintext=plaintext) as master:
        fill_from_environment(master, plaintext, monkeypatch)


def fill_from_environment(master: seaway.Master, plaintext: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "SEAWAY_MASTER" if plaintext else "SEAWAY_JOIN"
    monkeypatch.delenv(name, raising=False)
    with pytest.raises(seaway.InvalidError, match=name):
        seaway.Communicator(plaintext=plaintext)
    monkeypatch.setenv(name, master.join)
    monkeypatch.setenv("SEAWAY_REPLICA", "seven")
    with pytest.raises(seaway.InvalidError, match="SEAWAY_REPLICA"):
        seaway.Communicator(plaintext=plaintext)
    monkeypatch.setenv("SEAWAY_REPLICA", "7")
    monkeypatch.setenv("LOCAL_RANK", "3")  # for lanes only
    with seaway.Communicator(plaintext=plaintext, listen="127.0.0.1:0", timeout=BOUND) as comm:
        assert [(member.replica, member.lane) for member in comm.members] == [(7, 0)]


def test_local_rank_is_the_lane(master: seaway.Master, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(seaway.InvalidError, match="lane"):
        seaway.Communicator(master.join, replica=0, lanes=1, lane=1)
    # The other lane is not there, so this one is not admitted.
    with pytest.raises(seaway.Pending):
        seaway.Communicator(master.join, replica=0, lanes=2, timeout=0)


def test_ops_check_their_arguments(solo: seaway.Communicator) -> None:
    x = np.ones(2, np.float32)
    for arguments, words in (
        ({"op": "median"}, "op is 'median'"),
        ({"tag": -1}, "tag"),
        ({"tag": 2**62}, "tag"),
        ({"tag": "a"}, "tag"),
        ({"op": "avg", "weight": NAN}, "weight"),
        ({"op": "avg", "weight": -1.0}, "weight"),
        ({"op": "avg", "weight": math.inf}, "weight"),
        ({"op": "avg", "weight": "a"}, "weight"),
        ({"op": "sum", "weight": 2.0}, "weight"),
        ({"on_loss": "panic"}, "on_loss is 'panic'"),
        ({"layout": 2**64}, "layout"),
        ({"timeout": NAN}, "timeout"),
        ({"timeout": 0}, "timeout"),
        ({"deadline": NAN}, "deadline"),
        ({"deadline": -1.0}, "deadline"),
        ({"codec": "q9"}, "codec is 'q9'"),
        ({"codec": ("q8", "q8", "q8")}, "codec is"),
        ({"codec": ["q8"]}, "codec is"),
        ({"codec": "q8", "op": "max"}, "codec"),
        ({"codec": "q8", "rounding": "up"}, "rounding is 'up'"),
        ({"rounding": "stochastic"}, "codec_up"),
        ({"residual": np.zeros(2, np.float32)}, "codec_up"),
        ({"codec": "q8", "residual": np.zeros(3, np.float32)}, "2 elements"),
        ({"codec": "q8", "residual": np.zeros(2, np.float64)}, "float32"),
        ({"codec": "q8", "residual": x}, "overlaps"),
    ):
        with pytest.raises(seaway.InvalidError, match=words):
            solo.all_reduce(x, **arguments)  # type: ignore[arg-type]
    with pytest.raises(seaway.InvalidError, match="average"):
        solo.all_reduce(np.ones(2, np.int32), op="avg")
    with pytest.raises(seaway.InvalidError):
        solo.barrier(tag=2**62)
    for root in (-1, 1, "a", 0.0, None):
        with pytest.raises(seaway.InvalidError, match="root"):
            solo.broadcast(x, root)  # type: ignore[arg-type]
    for call in (solo.update, solo.join, solo.leave):
        with pytest.raises(seaway.InvalidError, match="NaN"):
            call(timeout=NAN)
    op = solo.barrier_async()
    with pytest.raises(seaway.InvalidError, match="NaN"):
        op.wait(NAN) if not op.done() else seaway.wait([op], timeout=NAN)
    op.wait(BOUND)
    with pytest.raises(seaway.InvalidError, match="ops is empty"):
        seaway.wait([])
    assert x.tolist() == [1, 1]


def test_masters_check_theirs() -> None:
    with pytest.raises((seaway.InvalidError, seaway.NoAddress), match="nowhere"):
        seaway.Master("nowhere")
    with pytest.raises(seaway.InvalidError, match="listen"):
        seaway.Master(7)  # type: ignore[arg-type]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(seaway.NoAddress):
            seaway.Master(f"127.0.0.1:{taken.getsockname()[1]}")


def test_a_listen_address_that_is_taken(master: seaway.Master) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(seaway.NoAddress):
            seaway.Communicator(master.join, listen=f"127.0.0.1:{taken.getsockname()[1]}", timeout=BOUND)


def test_names_and_addresses_reach_the_others(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> Any:
        return [(member.name, member.address.rpartition(":")[0]) for member in comm.members]

    assert cluster(master, 2, body, name="näme") == [[("näme", "127.0.0.1")] * 2] * 2


def test_one_replica_is_taken_once(master: seaway.Master) -> None:
    with join(master, replica=3):
        with pytest.raises(seaway.JoinRefused, match="3"):
            join(master, replica=3)
