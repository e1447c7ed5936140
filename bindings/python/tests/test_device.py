"""Arrays on a device: refused where there is none, and run on the device that only looks like one (tests/capi/fake_device.h)."""

from __future__ import annotations

import ctypes
import os
import pathlib
import shutil
import subprocess
import sys
import textwrap

import pytest

import seaway
from conftest import join

FAKE = pathlib.Path(__file__).parents[3] / "build/dev/tests/libseaway_fake_device.so"


needs_fake = pytest.mark.skipif(not FAKE.exists(), reason="build/dev has no fake device: script/build dev")


def run(*arguments: str) -> str:
    """What Python prints with these arguments and the fake device, in a process of its own: the library looks for a device once."""
    environment = {**os.environ, "SEAWAY_CUDA_LIBRARY": str(FAKE), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=pathlib.Path(__file__).parent, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


class OnDevice:
    """Somebody's array class, as CuPy's."""

    def __init__(self, address: int, count: int, typestr: str = "<f4", strides: tuple[int, ...] | None = None) -> None:
        self.__cuda_array_interface__ = {
            "shape": (count,),
            "typestr": typestr,
            "data": (address, False),
            "strides": strides,
            "version": 3,
        }


@pytest.mark.skipif("SEAWAY_CUDA_LIBRARY" in os.environ or pathlib.Path("/dev/nvidia0").exists(), reason="there is a device")
def test_without_a_device_its_arrays_are_refused(master: seaway.Master) -> None:
    seaway.device_check("cpu")
    with pytest.raises(seaway.NoDevice, match="libseaway_cuda.so"):
        seaway.device_check("cuda")
    with pytest.raises(seaway.InvalidError, match="one of cpu, cuda"):
        seaway.device_check("mps")
    with join(master) as comm:
        memory = ctypes.create_string_buffer(64)
        with pytest.raises(seaway.NoDevice, match="Give memory of the host's"):
            comm.all_reduce(OnDevice(ctypes.addressof(memory), 16))
        with pytest.raises(seaway.InvalidError, match="type '<c8'"):
            comm.all_reduce(OnDevice(ctypes.addressof(memory), 8, "<c8"))
        with pytest.raises(seaway.InvalidError, match="not contiguous"):
            comm.all_reduce(OnDevice(ctypes.addressof(memory), 8, strides=(8,)))
        with pytest.raises(seaway.NoDevice):  # contiguous: of one element nobody steps on
            comm.all_reduce(OnDevice(ctypes.addressof(memory), 1, strides=(8,)))
        with pytest.raises(seaway.NoDevice, match="Give memory of the host's"):
            comm.sync_state({"x": OnDevice(ctypes.addressof(memory), 16)})
        x = OnDevice(ctypes.addressof(memory), 16)
        for call in (
            lambda: seaway.lincomb(x, [(1, x)]),
            lambda: seaway.outer_step(*(OnDevice(ctypes.addressof(memory) + at, 4) for at in (0, 16, 32))),
            lambda: seaway.sqnorm(x),
            lambda: seaway.hash(x),
        ):
            with pytest.raises(seaway.NoDevice, match="Give memory of the host's"):
                call()


def test_the_default_stream_has_two_names() -> None:
    x = OnDevice(0, 1)
    for named, address in ((None, None), (1, 0), (2, 2), (0x70, 0x70)):
        x.__cuda_array_interface__["stream"] = named
        assert seaway._buffers._stream_of(x) == address


_PROGRAM = textwrap.dedent(
    """
    import ctypes, os, threading
    import numpy as np
    import seaway
    from test_device import OnDevice

    fake = ctypes.CDLL(os.environ["SEAWAY_CUDA_LIBRARY"])
    for name in ("allocate", "view"):
        getattr(fake, f"fake_device_{name}").restype = ctypes.c_void_p
    fake.fake_stream_open.restype = ctypes.c_void_p

    def allocated(count):
        address = fake.fake_device_allocate(ctypes.c_size_t(4 * count))
        view = fake.fake_device_view(ctypes.c_void_p(address))
        return OnDevice(address, count), np.ctypeslib.as_array(ctypes.cast(view, ctypes.POINTER(ctypes.c_float)), (count,))

    def member(master, rank, found):
        with seaway.Communicator(master.join, listen="127.0.0.1:0", replica=rank, min_world=2, timeout=30) as comm:
            if rank == 0:
                array, seen = allocated(10000)
                stream = fake.fake_stream_open()
                fake.fake_stream_fill(ctypes.c_void_p(stream), ctypes.c_void_p(array.__cuda_array_interface__["data"][0]),
                                      ctypes.c_size_t(10000), ctypes.c_float(5), ctypes.c_double(0.05))
                array.__cuda_array_interface__["stream"] = stream
            else:
                array = seen = np.full(10000, 2, np.float32)
            for codec in (None, "q8"):
                comm.all_reduce(array, op="avg", codec=codec)
                found.append(bool((seen == seen[0]).all()) and float(seen[0]))
            comm.broadcast(array, 0)
            seen[7] += rank
            found.append(comm.sync_state({"x": array}, 1 - rank).bytes_changed)
            found.append(float(seen[7] - seen[8]))
            comm.barrier()

    with seaway.Master() as master:
        found = [[], []]
        threads = [threading.Thread(target=member, args=(master, rank, found[rank])) for rank in range(2)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    assert found[0][:2] == found[1][:2] and found[0][0] == 3.5 and abs(found[0][1] - 3.5) < 0.02, found
    assert found[0][2:] == [0, 0] and found[1][2:] == [40000, 0], found
    """
)


@needs_fake
def test_arrays_on_a_device_and_on_the_host() -> None:
    run("-c", _PROGRAM)


_ARITHMETIC = textwrap.dedent(
    """
    import ctypes, os
    import numpy as np
    import seaway
    from test_device import OnDevice

    fake = ctypes.CDLL(os.environ["SEAWAY_CUDA_LIBRARY"])
    for name in ("device_allocate", "device_view", "stream_open", "stream_hold"):
        getattr(fake, f"fake_{name}").restype = ctypes.c_void_p
    stream = fake.fake_stream_open()

    def allocated(values, stream):
        address = fake.fake_device_allocate(ctypes.c_size_t(values.nbytes))
        view = fake.fake_device_view(ctypes.c_void_p(address))
        array = OnDevice(address, values.size)
        array.__cuda_array_interface__["stream"] = stream
        seen = np.ctypeslib.as_array(ctypes.cast(view, ctypes.POINTER(ctypes.c_float)), (values.size,))
        seen[:] = values
        return array, seen

    random = np.random.default_rng(5)
    here = [random.standard_normal(100_000).astype(np.float32) for _ in range(3)]
    for of in (stream, None):  # None: the default one
        there = [allocated(x, of) for x in here]
        x, y, z = (array for array, _ in there)
        before = [seen.copy() for _, seen in there]
        held = fake.fake_stream_hold(ctypes.c_void_p(of))
        seaway.outer_step(x, y, z)
        seaway.lincomb(z, [(0.5, x), (-2.0, z)])
        assert all((seen == was).all() for (_, seen), was in zip(there, before))    # it did not wait
        fake.fake_stream_release(ctypes.c_void_p(held))
        digest, norm = seaway.hash(z), seaway.sqnorm(z)
        right = [a.copy() for a in here]
        seaway.outer_step(*right)
        seaway.lincomb(right[2], [(0.5, right[0]), (-2.0, right[2])])
        assert all((seen == host).all() for (_, seen), host in zip(there, right))
        assert digest == seaway.hash(right[2]) and norm == seaway.sqnorm(right[2])

    # Of None there is nothing to wait for, whatever the others say.
    others = allocated(here[0], fake.fake_stream_open())[0]
    seaway.lincomb(others, [(1.0, x)])
    master = seaway.Master()
    alone = seaway.Communicator(master.join, listen="127.0.0.1:0")
    alone.all_reduce([x, others])
    for wrong, words in (
        (lambda: seaway.lincomb(others, [(1, allocated(here[0], stream)[0])]), "several CUDA streams"),
        (lambda: seaway.outer_step(others, y, allocated(here[0], stream)[0]), "several CUDA streams"),
        (lambda: alone.all_reduce([x, others, allocated(here[0], stream)[0]]), "several CUDA streams"),
        (lambda: seaway.lincomb(z, [(1, here[0])]), "on one GPU"),
        (lambda: seaway.lincomb(z, [(1, x)] * 257), "at most 256"),
        (lambda: seaway.sqnorm(OnDevice(x.__cuda_array_interface__["data"][0], 10, "<f8")), "float32"),
    ):
        try:
            wrong()
            raise SystemExit("it was taken: " + words)
        except seaway.InvalidError as error:
            assert words in str(error), error
    """
)


@needs_fake
def test_arithmetic_on_a_device() -> None:
    run("-c", _ARITHMETIC)


_EVICTED = textwrap.dedent(
    """
    import ctypes, os, pathlib, subprocess, sys, threading, time
    import numpy as np
    import seaway
    from test_device import OnDevice

    fake = ctypes.CDLL(os.environ["SEAWAY_CUDA_LIBRARY"])
    fake.fake_device_allocate.restype = ctypes.c_void_p
    folder, program = sys.argv[1:]
    master = subprocess.Popen([program, "master", "--listen", "127.0.0.1:0", "--state", folder])
    try:
        while not (pathlib.Path(folder) / "join").exists():
            time.sleep(0.05)
        join = "@" + str(pathlib.Path(folder) / "join")
        comms = {}

        def begin(name):
            comms[name] = seaway.Communicator(join, listen="127.0.0.1:0", name=name, min_world=2, timeout=30)

        threads = [threading.Thread(target=begin, args=(name,)) for name in ("alice", "bob")]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        array = OnDevice(fake.fake_device_allocate(ctypes.c_size_t(40000)), 10000)
        # Each job takes longer than it takes to be evicted.
        fake.fake_device_delays(ctypes.c_double(1.2))
        op = comms["alice"].all_reduce_async(array, codec="q8")
        other = comms["bob"].all_reduce_async(np.ones(10000, np.float32), codec="q8")
        time.sleep(0.5)
        subprocess.run([program, "evict", "alice", "--reason", "a test", "--state", folder], check=True)
        try:
            op.wait(timeout=20)
            raise SystemExit("it was not evicted")
        except seaway.Evicted as error:
            print(error)
        other.wait(timeout=20)
        fake.fake_device_delays(ctypes.c_double(0))
        for comm in comms.values():
            comm.close()
    finally:
        master.terminate()
    """
)


@needs_fake
def test_whoever_is_evicted_while_the_device_is_at_work_hears_of_it(tmp_path: pathlib.Path) -> None:
    program = shutil.which("seaway", path=os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]]))
    assert program is not None
    assert "may hold a part of the result" in run("-c", _EVICTED, str(tmp_path / "run"), program)


@needs_fake
def test_torch_tensors_on_a_device_are_taken_where_they_are() -> None:
    pytest.importorskip("torch")
    run("torch_device.py")
