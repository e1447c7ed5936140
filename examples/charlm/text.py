"""Text that every machine has: the sources of Python's standard library."""

from __future__ import annotations

import pathlib
import sysconfig

import numpy as np
import numpy.typing as npt

# Printable ASCII and the newline; whatever else there is becomes the last symbol.
ALPHABET = "\n" + "".join(map(chr, range(32, 127)))
VOCABULARY = len(ALPHABET) + 1

Symbols = npt.NDArray[np.uint8]

_TABLE = np.full(256, VOCABULARY - 1, np.uint8)
_TABLE[[ord(character) for character in ALPHABET]] = np.arange(len(ALPHABET))


def read(limit: int) -> tuple[list[Symbols], Symbols]:
    """(files to learn from, text held out): about `limit` bytes, the same on every machine with the same Python."""
    stdlib = pathlib.Path(sysconfig.get_path("stdlib"))
    files = sorted(path for path in (*stdlib.glob("*.py"), *stdlib.glob("*/*.py")) if _wanted(path.relative_to(stdlib)))
    learn: list[Symbols] = []
    held_out: list[Symbols] = []
    size = 0
    for i, path in enumerate(files):
        symbols = _TABLE[np.frombuffer(path.read_bytes(), np.uint8)]
        (held_out if i % 20 == 10 else learn).append(symbols)
        size += len(symbols)
        if size >= limit:
            break
    if not held_out:
        raise SystemExit(f"charlm: too little Python source under {stdlib} to learn from")
    return learn, np.concatenate(held_out)


def _wanted(path: pathlib.Path) -> bool:
    return not path.parts[0].startswith(("test", "site-packages", "dist-packages", "config-", "idlelib", "lib2to3", "__"))


def shard(files: list[Symbols], index: int, count: int) -> Symbols:
    """The part of the text that replica `index` of `count` learns from: every count-th file."""
    return np.concatenate(files[index % count :: count])


def windows(text: Symbols, starts: npt.NDArray[np.int64], length: int) -> tuple[Symbols, Symbols]:
    """(windows of `length` symbols, the symbol after each)."""
    picked = text[starts[:, None] + np.arange(length + 1)]
    return picked[:, :-1], picked[:, -1]
