"""What can be reduced, and what is refused by name."""

from __future__ import annotations

import array
import mmap
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import seaway
from conftest import cluster

DTYPES = ["f4", "f8", "f2", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_arrays_of_every_dtype(solo: seaway.Communicator, dtype: str) -> None:
    x = np.arange(7, dtype=dtype)
    solo.all_reduce(x)
    assert x.tolist() == list(range(7))


def test_two_members_add_every_dtype(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> list[np.ndarray[Any, Any]]:
        arrays = [np.arange(5).astype(dtype) + np.dtype(dtype).type(comm.rank) for dtype in DTYPES]
        for x in arrays:
            comm.all_reduce(x)
        return arrays

    for arrays in cluster(master, 2, body):
        for x, dtype in zip(arrays, DTYPES):
            assert x.dtype == np.dtype(dtype)
            assert x.tolist() == [1, 3, 5, 7, 9]


def test_bfloat16_of_ml_dtypes(master: seaway.Master) -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16

    def body(comm: seaway.Communicator) -> Any:
        x = np.array([1, 2.5, -3], bfloat16)
        comm.all_reduce(x, op="avg")
        y = np.array(2, bfloat16)
        comm.all_reduce(y)
        return x.astype("f4").tolist(), float(y)

    assert cluster(master, 2, body) == [([1, 2.5, -3], 4.0)] * 2


def test_torch_tensors(master: seaway.Master) -> None:
    torch = pytest.importorskip("torch")

    def body(comm: seaway.Communicator) -> Any:
        results = []
        for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8):
            x = torch.tensor([[1, 2], [3, 4]]).to(dtype)
            comm.all_reduce(x)
            results.append(x.tolist())
        # A view with an offset, a parameter, and an output of its own.
        base = torch.zeros(4)
        comm.all_reduce(base[1:3].fill_(1))
        parameter = torch.nn.Parameter(torch.ones(2))
        out = torch.empty(2)
        comm.all_reduce(parameter, out)
        comm.all_reduce(torch.empty(0))
        return results, base.tolist(), parameter.tolist(), out.tolist()

    assert cluster(master, 2, body) == [([[[2, 4], [6, 8]]] * 6, [0, 2, 2, 0], [1, 1], [2, 2])] * 2


def test_torch_tensors_that_are_refused(solo: seaway.Communicator) -> None:
    torch = pytest.importorskip("torch")
    for x, words in (
        (torch.ones(4, 4).t()[1:], "x is not contiguous"),
        (torch.ones(1).expand(4), "x is not contiguous"),
        (torch.ones(2, dtype=torch.bool), "x has dtype torch.bool"),
        (torch.ones(2, dtype=torch.complex64), "x has dtype torch.complex64"),
        (torch.ones(2, device="meta"), "x is a torch.strided tensor on meta"),
        (torch.eye(2).to_sparse(), "x is a torch.sparse_coo tensor on cpu"),
    ):
        with pytest.raises(seaway.InvalidError, match=words):
            solo.all_reduce(x)


def test_seaway_does_not_import_torch_or_numpy() -> None:
    code = "import sys, seaway; x = bytearray(2); assert not {'numpy', 'torch'} & set(sys.modules), sorted(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_anything_with_the_buffer_protocol(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> Any:
        numbers, octets, memory = array.array("d", [1, 2]), bytearray(b"\1\2"), mmap.mmap(-1, 4)
        comm.all_reduce(numbers)
        comm.all_reduce(octets)
        comm.all_reduce(memoryview(memory)[1:3])
        comm.all_reduce(memoryview(memory).cast("f"))
        return numbers.tolist(), list(octets), list(memory[:])

    assert cluster(master, 2, body) == [([2, 4], [2, 4], [0, 0, 0, 0])] * 2


def test_many_arrays_are_one_op(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> Any:
        pieces = [np.full(shape, comm.rank + 1, np.float32) for shape in ((2, 3), (0,), (), (4,))]
        result = comm.all_reduce(pieces, op="max")
        assert comm.all_reduce((pieces[0], pieces[3])).seq == result.seq + 1
        return [piece.tolist() for piece in pieces]

    assert cluster(master, 2, body) == [[[[4.0] * 3] * 2, [], 2.0, [4.0] * 4]] * 2


def test_an_output_of_its_own_leaves_the_input(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> Any:
        x = np.array([1, 2], np.float32)
        x.flags.writeable = False
        out = np.zeros(2, np.float32)
        result = comm.all_reduce(x, out)
        assert result.scratch_bytes == 0
        return x.tolist(), out.tolist()

    assert cluster(master, 2, body) == [([1, 2], [2, 4])] * 2


def test_zero_elements(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> str:
        comm.all_reduce(bytearray())
        return comm.all_reduce(np.zeros((3, 0), np.float32)).outcome

    assert cluster(master, 2, body) == ["committed"] * 2


def read_only() -> Any:
    x = np.ones(2, np.float32)
    x.flags.writeable = False
    return x


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.ones((4, 4), np.float32)[:, 1], r"x is not contiguous"),
        (np.ones((4, 4), np.float32, order="F"), r"x is not contiguous"),
        ([np.ones(2, np.float32), np.ones(4, np.float32)[::2]], r"x\[1\] is not contiguous"),
        (memoryview(bytearray(8))[::2], r"x is not contiguous"),
        (read_only(), r"x is read-only"),
        (b"bytes", r"x is read-only"),
        (np.ones(2, bool), r"x has dtype dtype\('bool'\)"),
        (np.ones(2, np.complex64), r"x has dtype dtype\('complex64'\)"),
        (np.ones(2, ">f4"), r"x has dtype dtype\('>f4'\)"),
        (np.array(["a"]), r"x has dtype"),
        (np.array([None]), r"x has dtype"),
        (array.array("w" if "w" in array.typecodes else "u", "ab"), r"x has the buffer format"),
        (3.0, r"x is of type float"),
        ([1.0, 2.0], r"x\[0\] is of type float"),
        (None, r"x is of type NoneType"),
    ],
)
def test_what_is_refused_by_name(solo: seaway.Communicator, x: Any, words: str) -> None:
    with pytest.raises(seaway.InvalidError, match=words):
        solo.all_reduce(x)
    if "read-only" not in words:  # this member is the root, whose array is only read
        with pytest.raises(ValueError, match=words):
            solo.broadcast(x, 0)


def test_out_is_checked_like_x(solo: seaway.Communicator) -> None:
    x = np.ones(4, np.float32)
    for out, words in (
        (read_only(), "out is read-only"),
        (np.ones(8, np.float32)[::2], "out is not contiguous"),
        ([np.empty(4, np.float32)] * 2, "out has 2 arrays and x has 1"),
        (np.empty(3, np.float32), "out"),
        (np.empty(4, np.float64), "dtype"),
        (x, "overlap"),
    ):
        with pytest.raises(seaway.InvalidError, match=words):
            solo.all_reduce(x, out)
    assert x.tolist() == [1, 1, 1, 1]


def test_pieces_of_different_dtypes_are_refused(solo: seaway.Communicator) -> None:
    with pytest.raises(seaway.InvalidError, match="dtype"):
        solo.all_reduce([np.ones(2, np.float32), np.ones(2, np.float64)])
    with pytest.raises(seaway.InvalidError):
        solo.all_reduce([])
