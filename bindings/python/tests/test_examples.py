"""The examples with torch, each as short as it can be."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

import seaway  # noqa: E402

pytestmark = pytest.mark.timeout(700)

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "examples" / "train_gpt"
#: Seconds; importing torch in all of the processes is most of it.
BOUND = 300
SMALL = "--batch 4 --context 16 --width 32 --layers 1 --heads 2 --text-bytes 600000 --inner-steps 5".split()


def run(*command: str, **environment: str) -> subprocess.Popen[str]:
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def ended(process: subprocess.Popen[str]) -> str:
    try:
        words, _ = process.communicate(timeout=BOUND)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)  # a script cleans up after itself
            process.wait(20)
    assert process.returncode == 0, words
    return words


def test_hello() -> None:
    assert "both members ended with the weights" in ended(run(sys.executable, str(FOLDER / "hello.py")))


@pytest.mark.parametrize("method", [[], ["--diloco"]], ids=["average", "diloco"])
def test_two_replicas_of_train_gpt_end_alike(master: seaway.Master, tmp_path: pathlib.Path, method: list[str]) -> None:
    command = [
        *(sys.executable, str(FOLDER / "train_gpt.py"), *SMALL, *method, "--steps", "20"),
        *("--min-world", "2", "--listen", "127.0.0.1:0", "--output", str(tmp_path)),
    ]
    trainers = [
        run(*command, "--name", name, *(["--plot"] if name == "two" else []), SEAWAY_JOIN=master.join) for name in ("one", "two")
    ]
    for trainer in trainers:
        ended(trainer)
    logs = [[json.loads(line) for line in path.read_text().splitlines()] for path in sorted(tmp_path.glob("*.jsonl"))]
    assert len(logs) == 2 and logs[0][-1]["digest"] == logs[1][-1]["digest"]
    for log in logs:
        losses = [each["loss"] for each in log if each["event"] == "step"]
        assert losses[-1] < losses[0] and all(each["world"] == 2 for each in log if each["event"] == "step")
    assert (tmp_path / "loss.png").stat().st_size > 10_000


def test_a_site_that_is_killed_comes_back_and_catches_up(tmp_path: pathlib.Path) -> None:
    words = ended(
        run(
            str(FOLDER / "two_sites.sh"), str(tmp_path), *SMALL, "--steps", "500",
            PYTHON=sys.executable, TWO_SITES_LOOPBACK="1",
        )  # fmt: skip
    )
    assert "site b is killed" in words and "caught up at step" in words and "WRONG" not in words
