"""Samples run as they stand; what is public is documented."""

from __future__ import annotations

import importlib.util
import inspect
import pathlib
import re
import subprocess
import sys
import textwrap

import pytest

import seaway
import seaway.training

README = (pathlib.Path(__file__).resolve().parent.parent / "README.md").read_text()
SAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.S | re.M)
MODULE = textwrap.dedent("\n".join(line for line in (seaway.__doc__ or "").splitlines() if line.startswith("    ")))


@pytest.mark.parametrize("sample", [*SAMPLES, MODULE], ids=[*[f"README-{i}" for i in range(len(SAMPLES))], "docstring"])
def test_samples_run(sample: str) -> None:
    if "import torch" in sample and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    done = subprocess.run([sys.executable, "-c", sample], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_there_are_samples() -> None:
    assert len(SAMPLES) >= 3 and "all_reduce" in MODULE


def test_everything_public_is_documented() -> None:
    public = [getattr(seaway, name) for name in seaway.__all__ if name != "Array"]
    methods = [getattr(seaway.training, name) for name in seaway.training.__all__]
    for thing in [*public, seaway.training, *methods]:
        assert inspect.getdoc(thing), thing
        for name, member in inspect.getmembers(thing) if inspect.isclass(thing) else ():
            if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                assert inspect.getdoc(member), f"{thing.__name__}.{name}"


def test_what_is_public_of_torch_is_documented() -> None:
    module = pytest.importorskip("seaway.torch", reason="torch is not installed")
    assert module.__all__ == sorted(module.__all__)
    for thing in [getattr(module, name) for name in module.__all__]:
        assert inspect.getdoc(thing), thing
        for name, member in vars(thing).items() if inspect.isclass(thing) else ():
            if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                assert inspect.getdoc(member), f"{thing.__name__}.{name}"


def test_the_guide_names_what_there_is() -> None:
    module = pytest.importorskip("seaway.torch", reason="torch is not installed")
    guide = (pathlib.Path(__file__).resolve().parents[3] / "docs" / "PYTORCH.md").read_text()
    used = set(re.findall(r"seaway\.torch\.(\w+)", guide))
    assert used and all(hasattr(module, name) for name in used)
    compile("\n".join(re.findall(r"^```python\n(.*?)^```", guide, re.S | re.M)), "docs/PYTORCH.md", "exec")


def test_all_is_sorted_and_complete() -> None:
    assert seaway.__all__ == sorted(seaway.__all__)
