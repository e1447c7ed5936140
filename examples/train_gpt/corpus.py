"""The text: the sources of Python's standard library, as examples/charlm has them."""

from __future__ import annotations

import pathlib
import sys

import numpy as np
import torch
from torch import Tensor

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "charlm"))

import text  # noqa: E402

VOCABULARY = text.VOCABULARY


class Corpus:
    """All of the text that is learned from. Every replica has all of it: what it learns next follows from its number and the step."""

    def __init__(self, size: int) -> None:
        files, _ = text.read(size)
        self._symbols = torch.from_numpy(np.concatenate(files).astype(np.int64))

    def batch(self, seed: tuple[int, ...], size: int, context: int) -> Tensor:
        """size windows of context + 1 characters, the same ones for the same seed."""
        starts = np.random.default_rng(seed).integers(0, len(self._symbols) - context - 1, size)
        return torch.stack([self._symbols[start : start + context + 1] for start in starts.tolist()])
