"""What the comparisons share: where things are, how they are built, the Python that has torch, and programs that take turns.

A program that takes turns says a line, "ready" and what it likes, and then, for each line of its standard input, performs as many
ops as that says and answers with a line of JSON: {"seconds": [of each op, that of its slowest peer], "cpu_s": of all peers and
ops, "peak_kib", "grown_kib", "threads": of the peer that has most}. It ends with its input.
"""
import json
import pathlib
import select
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
BENCH = ROOT / "build" / "release" / "bench" / "seaway_bench"
LAB = ROOT / "build" / "release" / "stress" / "seaway_lab"
TORCH = "torch==2.13.0+cpu"
PATIENCE = 300  # seconds for one answer: a side that hangs is an error, not a wait


class Failure(Exception):
    """In words for whoever started the benchmark."""


def build(*targets):
    built = subprocess.run([ROOT / "script" / "build", "release", *targets], capture_output=True, text=True)
    if built.returncode != 0:
        raise Failure(f"script/build release {' '.join(targets)} failed:\n{built.stdout}{built.stderr}")


def python_with(check, *packages):
    """The Python of the environment of script/test-python if `check`, a line of Python, passes there, else that of one for the
    benchmarks alone, into which the packages are installed where it fails. Raises Failure where they are not to be had."""
    for name in ("test-venv", "bench-venv"):
        python = ROOT / "build" / name / "bin" / "python"
        if python.exists() and subprocess.run([python, "-c", check], capture_output=True).returncode == 0:
            return python
    print(f"installing {' '.join(packages)} into build/bench-venv", file=sys.stderr, flush=True)
    python = ROOT / "build" / "bench-venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", ROOT / "build" / "bench-venv"], check=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "-q", "install", *packages]
    installed = subprocess.run(pip, capture_output=True, text=True)
    if installed.returncode != 0:
        last = (installed.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise Failure(f"{' '.join(packages)} cannot be installed here: {last}")
    return python


def python_with_torch():
    version = TORCH.removeprefix("torch==").partition("+")[0]  # looked up: an import takes seconds
    check = f"import sys, importlib.metadata as packages; sys.exit(not packages.version('torch').startswith('{version}'))"
    return python_with(check, TORCH, "numpy")


def lab_sites(scenario):
    """The names of its sites, in order. Raises Failure where there is no such scenario, or no lab possible here."""
    lab = subprocess.run([LAB, scenario, "--quiet", "--", "sh", "-c", "echo $LAB_SITES"], capture_output=True, text=True)
    if lab.returncode != 0:
        raise Failure(lab.stderr.strip().removeprefix("seaway_lab: ") or "the lab failed")
    return lab.stdout.splitlines()[0].partition("| ")[2].split(",")


def in_lab(scenario, site, command):
    """The command there, in a lab of its own. What the lab says of itself at the end is among what the side's `end` returns."""
    return [LAB, scenario, "--at", site, "--", *command]


class Side:
    """One of those that take turns. `greet` waits for "ready", so that several can get ready at once. They warm up one after the
    other: what one learns of its links beside another's all-reduce it would believe for a long time."""

    def __init__(self, name, command):
        self.name = name
        words = [str(word) for word in command]
        self.said = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said, text=True)
        self.greeting = ""
        self.turns = []

    def greet(self):
        self.greeting = self._line().removeprefix("ready").strip()

    def warm_up(self, ops):
        if ops:
            self.turn(ops)
            self.turns.clear()

    def turn(self, ops=1):
        try:
            self.process.stdin.write(f"{ops}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._failure("has ended early") from None
        self.turns.append(json.loads(self._line()))
        return self.turns[-1]

    def end(self):
        """What it said on stderr."""
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise self._failure("does not end") from None
        if self.process.returncode != 0:
            raise self._failure(f"failed, exit code {self.process.returncode}")
        return self._stderr()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _line(self):
        # An answer is one line and nothing follows it unasked, so none is ever left in the file's buffer.
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            raise self._failure(f"has said nothing for {PATIENCE} s")
        text = self.process.stdout.readline()
        if not text:
            raise self._failure("has ended early")
        return text.strip()

    def _stderr(self):
        self.said.seek(0)
        return self.said.read()

    def _failure(self, what):
        last = self._stderr().strip().splitlines()[-12:]
        return Failure("\n".join([f"{self.name} {what}; it said:", *(f"  {line}" for line in last)]) if last else f"{self.name} {what}")
