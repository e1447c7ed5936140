"""What members keep for each other, as opaque bytes: for the successor of one that is lost."""

from __future__ import annotations

import zlib

import numpy as np

from seaway._view import View
from seaway.torch._replica import Replica
from seaway.torch._tags import KEEPING


def exchange(replica: Replica, view: View, private: bytes, name: str) -> dict[int, bytes]:
    """By replica, what every member of this lane gave. One that is lost meanwhile is missing."""
    tag = KEEPING + zlib.crc32(name.encode())
    blocks = len(view.blocks)
    sizes = np.zeros(blocks, np.int64)
    replica.comm.all_gather(np.array([len(private)], np.int64), sizes, tag=tag)
    longest = int(sizes.max())
    padded = np.zeros(longest, np.uint8)
    padded[: len(private)] = np.frombuffer(private, np.uint8)
    gathered = np.empty((blocks, longest), np.uint8)
    result = replica.comm.all_gather(padded, gathered, tag=tag)
    given = {}
    for contributor in result.contributors:
        block = view.blocks.index(contributor.peer)
        owner = replica.replica_of(contributor.peer)
        if owner is not None:
            given[owner] = gathered[block, : sizes[block]].tobytes()
    return given
