"""exchange, send and recv among threads of this process."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

import seaway
from conftest import BOUND, cluster


def piece(source: int, target: int) -> Any:
    return np.arange(7 * source + 3 * target + 1, dtype=np.float32) + 1000 * source + 100 * target


def test_an_exchange_gives_every_pair_its_own(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> Any:
        me = comm.rank
        view = comm.view
        outs = {member: np.empty_like(piece(view.members.index(member), me)) for member in view.members}
        result = comm.exchange({rank: piece(me, rank) for rank in range(3)}, outs, deadline=BOUND)
        for source, member in enumerate(view.members):
            assert (outs[member] == piece(source, me)).all()
        # Several arrays are one piece of data; the third has nothing to send and nothing to receive.
        halves = [np.empty(2, np.int64), np.empty(3, np.int64)]
        if me == 0:
            comm.exchange({1: np.arange(5)}, tag=1, deadline=BOUND)
        elif me == 1:
            comm.exchange(recvs={0: halves}, tag=1, deadline=BOUND)
            assert halves[0].tolist() + halves[1].tolist() == [0, 1, 2, 3, 4]
        else:
            comm.exchange(dtype="int64", tag=1, deadline=BOUND)
        return result

    for result in cluster(master, 3, body):
        assert len(result.contributors) == 3 and not result.lost


def test_counts_that_differ_abort_everywhere(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> str:
        with pytest.raises(seaway.Aborted) as caught:
            if comm.rank == 0:
                comm.exchange({1: np.zeros(5, np.float32)}, deadline=BOUND)
            else:
                comm.exchange(recvs={0: np.zeros(4, np.float32)}, deadline=BOUND)
        return str(caught.value)

    for text in cluster(master, 2, body):
        assert "sends 5 elements" in text and "receives 4" in text


def test_sends_and_receives(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> None:
        me = comm.rank
        if me == 2:
            return
        x, y = np.full(100_000, me, np.float64), np.empty(100_000, np.float64)
        sent = comm.send_async(x, 1 - me, deadline=BOUND)
        received = comm.recv(y, comm.view.members[1 - me], deadline=BOUND)
        assert (y == 1 - me).all() and len(received.contributors) == 1
        assert sent.wait(timeout=BOUND).hash != received.hash

        async def both() -> None:
            await asyncio.gather(comm.send_async(x, 1 - me, tag=4), comm.recv_async(y, 1 - me, tag=4))

        asyncio.run(both())
        with pytest.raises(seaway.Refused, match="count 3"):
            if me == 0:
                comm.send(np.zeros(3), 1, tag=5, deadline=BOUND)
            else:
                comm.recv(np.zeros(2), 0, tag=5, deadline=BOUND)

    cluster(master, 3, body)


def test_what_is_wrong_is_named(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> None:
        x = np.zeros(3, np.float32)
        for call, text in (
            (lambda: comm.exchange({5: x}), "a key of sends is 5"),
            (lambda: comm.exchange({0: x.astype(np.float64)}, {0: x}), "all buffers of one op have one dtype"),
            (lambda: comm.exchange({0: x}), "for this member itself"),
            (lambda: comm.exchange(dtype="complex64"), "dtype is 'complex64'"),
            (lambda: comm.exchange(recvs={0: b"abcd"}), "read-only"),
            (lambda: comm.send(x, 9), "to is 9"),
            (lambda: comm.recv(x, "b"), "source is 'b'"),
            (lambda: comm.send(x, 0), "who sends is who receives"),
        ):
            with pytest.raises(seaway.InvalidError, match=text):
                call()

    cluster(master, 1, body)
