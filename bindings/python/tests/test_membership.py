"""Joining, leaving, dying, closing."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import seaway
from conftest import BOUND, Thread, cluster, join, together


def test_a_run_of_one(master: seaway.Master) -> None:
    with join(master) as comm:
        view = comm.view
        assert (view.rank, view.world_size, view.lanes) == (0, 1, 1)
        assert (comm.rank, comm.world_size, comm.epoch, comm.members) == (0, 1, view.epoch, view.members)
        assert view.members[0].peer == view.me and view.member(0) is view.members[0]
        with pytest.raises(IndexError):
            view.member(1)
        with pytest.raises(AttributeError):
            view.rank = 1  # type: ignore[misc]
        assert view.epoch >= seaway.Epoch(0, 0) and "rank 0 of 1" in repr(comm)
        assert pickle.loads(pickle.dumps(view)) == view
        assert comm.join() == comm.view  # a member joins at once
    assert "closed" in repr(comm)


def test_closed_communicators_say_so(master: seaway.Master) -> None:
    comm = join(master)
    comm.close()
    comm.close()
    for call in (
        comm.update,
        comm.join,
        comm.leave,
        comm.barrier,
        lambda: comm.view,
        lambda: comm.rank,
        lambda: comm.all_reduce(bytearray(4)),
        lambda: comm.broadcast(bytearray(4), 0),
    ):
        with pytest.raises(seaway.Closed):
            call()


def test_a_newcomer_is_admitted_at_update(master: seaway.Master) -> None:
    with join(master) as old:
        first = old.update(BOUND)
        newcomer = Thread(lambda: join(master))
        while old.update(BOUND).world_size == 1:
            pass
        view = old.view
        with newcomer.result() as new:
            assert view.generation > first.generation and view.epoch > first.epoch
            assert view.update_count == new.view.update_count
            assert [member.peer for member in new.members] == [view.me, new.view.me]  # the newest is last
            x, y = np.ones(2, np.float32), np.ones(2, np.float32)
            together(lambda: old.all_reduce(x), lambda: new.all_reduce(y))
            assert x.tolist() == y.tolist() == [2, 2]


def test_a_view_between_the_epoch_of_a_newcomer_and_the_update_that_admits_it(master: seaway.Master) -> None:
    with join(master) as old:
        before = old.update(BOUND).epoch
        newcomer = Thread(lambda: join(master))
        while old.epoch == before:
            pass
        assert old.world_size == 1 and len(old.members) == 1
        admitted = old.update(BOUND)
        with newcomer.result():
            assert admitted.world_size == 2 and old.members == old.view.members == admitted.members and len(old.members) == 2


def test_update_without_newcomers_changes_nothing_but_its_count(solo: seaway.Communicator) -> None:
    views = [solo.update() for _ in range(3)]
    counts = [view.update_count for view in views]
    assert counts == list(range(counts[0], counts[0] + 3))
    assert len({view.epoch for view in views}) == 1 and views[0].members is views[2].members


def test_who_leaves_can_come_back(master: seaway.Master) -> None:
    a, b = together(*[lambda: join(master, min_world=2)] * 2)
    with a, b:
        before = b.view.me
        b.leave(BOUND)
        with pytest.raises(seaway.NotMember):
            b.rank
        with pytest.raises(seaway.NotMember):
            b.barrier()
        assert "NOT_MEMBER" in repr(b)
        a.barrier()  # alone now
        back = Thread(lambda: b.join(BOUND))
        while a.update(BOUND).world_size == 1:
            pass
        assert back.result().me != before
        together(a.barrier, b.barrier)


def test_joining_times_out_and_says_what_it_waits_for(master: seaway.Master) -> None:
    with pytest.raises(seaway.Pending) as caught:
        join(master, min_world=2, timeout=0.3)
    assert str(caught.value)


def test_no_master() -> None:
    with seaway.Master() as gone:
        text = gone.join
    with pytest.raises((seaway.NoMaster, seaway.Pending)):
        seaway.Communicator(text, timeout=0.3)


def test_a_join_string_of_another_run_and_one_that_is_wrong(master: seaway.Master) -> None:
    with seaway.Master() as other:
        mixed = master.join.split("/")
        mixed[2:] = other.join.split("/")[2:]  # this master, the other run's token and pin
        with pytest.raises(seaway.Pending, match="another run|pin"):
            seaway.Communicator("/".join(mixed), listen="127.0.0.1:0", timeout=2)
    wrong = master.join.split("/")
    wrong[2] = wrong[2][:16] + "0" * 32  # the token's name and another secret
    with pytest.raises(seaway.JoinRefused, match="secret is wrong"):
        seaway.Communicator("/".join(wrong), listen="127.0.0.1:0", timeout=BOUND)
    wrong[2] = "f" * 48
    with pytest.raises(seaway.JoinRefused, match="not known"):
        seaway.Communicator("/".join(wrong), listen="127.0.0.1:0", timeout=BOUND)


def test_plaintext_and_encrypted_do_not_mix(master: seaway.Master) -> None:
    with pytest.raises((seaway.Pending, seaway.NoMaster)):
        seaway.Communicator(master.address, listen="127.0.0.1:0", plaintext=True, timeout=1)
    with seaway.Master(plaintext=True) as plain:
        mixed = master.join.split("/")
        mixed[1] = plain.address
        with pytest.raises((seaway.Pending, seaway.NoMaster)):
            seaway.Communicator("/".join(mixed), listen="127.0.0.1:0", timeout=1)
        with seaway.Communicator(plain.join, listen="127.0.0.1:0", plaintext=True, timeout=BOUND) as comm:
            assert comm.world_size == 1


def test_two_updates_at_once(master: seaway.Master) -> None:
    with join(master) as old:
        waiting = Thread(lambda: join(master, min_world=1))
        while True:
            try:
                view = old.update(0)
            except seaway.Pending:
                view = old.update(BOUND)
            if view.world_size == 2:
                break
        with waiting.result():
            pass


DIES = """
import os, sys, seaway
comm = seaway.Communicator(sys.argv[1], listen="127.0.0.1:0", min_world=3)
x = bytearray(int(sys.argv[2]))
op = comm.all_reduce_async(x, on_loss=sys.argv[3])
print(comm.view.me, flush=True)
op.wait(3600)
"""


@pytest.mark.parametrize("on_loss", ["resume", "fail"])
def test_a_member_is_killed_inside_an_op(master: seaway.Master, on_loss: str) -> None:
    size = 3_000_000  # so large that it is no member's to finish alone: each reduces a part
    command = [sys.executable, "-c", DIES, master.join, str(size), on_loss]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            a, b = together(*[lambda: join(master, min_world=3)] * 2)
            with a, b:
                assert process.stdout is not None
                peer = int(process.stdout.readline())
                # It waits in the op, which cannot end before `b` has started it.
                x, y = np.full(size, 1, np.uint8), np.full(size, 2, np.uint8)
                op = a.all_reduce_async(x, on_loss=on_loss)
                os.kill(process.pid, signal.SIGKILL)
                other = b.all_reduce_async(y, on_loss=on_loss)
                if on_loss == "fail":
                    for each in (op, other):
                        with pytest.raises(seaway.Aborted):
                            each.wait(BOUND)
                    assert set(x) == {1} and set(y) == {2}
                else:
                    results = [op.wait(BOUND), other.wait(BOUND)]
                    for result in results:
                        assert result.lost == (peer,) and peer not in [each.peer for each in result.contributors]
                        assert result.hash == results[0].hash and result.contributors == results[0].contributors
                    assert set(x) == set(y) == {3}
                together(a.barrier, b.barrier)
                assert a.world_size == 2 and peer not in [member.peer for member in a.members]
        finally:
            process.kill()


def test_the_master_may_go(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> float:
        x = np.ones(2, np.float32)
        comm.barrier()
        if comm.rank == 0:
            master.close()
        comm.barrier()
        comm.all_reduce(x)
        return float(x[0])

    assert cluster(master, 2, body) == [2, 2]


def test_a_fork_takes_no_part(master: seaway.Master) -> None:
    # In a process of its own: pytest's has threads that a fork would lose.
    code = """
import os, sys, seaway
comm = seaway.Communicator(sys.argv[1], listen="127.0.0.1:0")
child = os.fork()
if child == 0:
    try:
        comm.update()
    except seaway.Forked:
        os._exit(7)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
comm.update()
comm.all_reduce(bytearray(4))
comm.close()
"""
    assert subprocess.run([sys.executable, "-c", code, master.join], timeout=BOUND).returncode == 0


def test_the_master_as_a_program() -> None:
    command = [sys.executable, "-m", "seaway.master", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            words = process.stdout.readline().split()
            assert words[:2] == ["listening", "on"]
            text = process.stdout.readline().split()[-1]
            with seaway.Communicator(text, listen="127.0.0.1:0", timeout=BOUND) as comm:
                assert comm.world_size == 1
            process.send_signal(signal.SIGTERM)
            assert process.wait(BOUND) == 0
        finally:
            process.kill()
    command = [sys.executable, "-m", "seaway.master", "--listen", "nowhere"]
    refused: Any = subprocess.run(command, capture_output=True, text=True, timeout=BOUND)
    assert refused.returncode in (1, 2) and "nowhere" in refused.stderr


LIVES = """
import sys, seaway
comm = seaway.Communicator(sys.argv[1], listen="127.0.0.1:0", min_world=2, replica=7)
print("joined", flush=True)
while True:
    comm.update()
"""


def test_who_is_started_again_at_once_waits_for_its_own_place(master: seaway.Master) -> None:
    command = [sys.executable, "-c", LIVES, master.join]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            with join(master, min_world=2) as comm:
                assert process.stdout is not None and process.stdout.readline() == "joined\n"
                os.kill(process.pid, signal.SIGKILL)
                again = Thread(lambda: join(master, replica=7))
                while again.is_alive():
                    comm.update(BOUND)
                with again.result() as successor:
                    assert 7 in [member.replica for member in successor.members]
                    assert comm.update(BOUND).world_size == successor.world_size == 2
        finally:
            process.kill()


def test_a_place_that_somebody_has_is_refused(master: seaway.Master) -> None:
    with join(master, replica=7) as comm:
        rival = Thread(lambda: join(master, replica=7))
        with pytest.raises(seaway.JoinRefused, match="replica 7, lane 0 is taken by"):
            rival.result()
        assert comm.update(BOUND).world_size == 1
