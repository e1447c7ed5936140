"""Replicas as processes: started, killed and listened to."""

from __future__ import annotations

import json
import os
import pathlib
import selectors
import signal
import subprocess
import time
from typing import Any

from churning.figures import Kill, Message

REPLICA = pathlib.Path(__file__).with_name("replica.py")


class Failed(Exception):
    """The run cannot go on; the text says why."""


class Run:
    """Replicas 0 to n-1 of one run. Whatever they say is in `messages`, in the order in which it came."""

    def __init__(self, python: pathlib.Path, join: str, replicas: int, words: list[str], folder: pathlib.Path) -> None:
        self._python, self._join, self._replicas, self._words, self._folder = python, join, replicas, words, folder
        self._selector = selectors.DefaultSelector()
        self._rest: dict[int, bytes] = {}
        self._peers: dict[int, int] = {}  # of members, by replica
        self.processes: dict[int, subprocess.Popen[bytes]] = {}  # those that run, by replica
        self.messages: list[Message] = []
        self.kills: list[Kill] = []
        self.done: dict[int, Message] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, replica: int, min_world: int = 1) -> None:
        command = [self._python, REPLICA, "--replica", replica, "--replicas", self._replicas, "--min-world", min_world]
        with (self._folder / f"replica-{replica}.log").open("ab") as log:
            process = subprocess.Popen(
                [str(word) for word in command] + self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "SEAWAY_JOIN": self._join},  # not an argument: it has a secret in it
            )
        self.processes[replica] = process
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._selector.register(process.stdout, selectors.EVENT_READ, replica)
        self._rest[replica] = b""

    def members(self) -> list[int]:
        """Replicas that run and are members, as far as they have said."""
        return sorted(replica for replica in self._peers if replica in self.processes)

    def kill(self, replica: int) -> None:
        process = self.processes.pop(replica)
        self.kills.append(Kill(time.monotonic(), replica, self._peers.pop(replica)))
        process.send_signal(signal.SIGKILL)
        self._take(replica, process)
        process.wait()
        assert process.stdout is not None
        self._selector.unregister(process.stdout)

    def listen(self, seconds: float) -> None:
        """Takes what they say, for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self.processes:
            for key, _ in self._selector.select(left):
                if key.data in self.processes:
                    self._read(key.data)

    def _read(self, replica: int) -> None:
        process = self.processes[replica]
        if self._take(replica, process):
            return
        assert process.stdout is not None
        self._selector.unregister(process.stdout)
        del self.processes[replica]
        if process.wait() != 0 or replica not in self.done:
            log = self._folder / f"replica-{replica}.log"
            words = " / ".join(log.read_text(errors="replace").strip().splitlines()[-3:])
            raise Failed(f"replica {replica} ended with status {process.returncode}: {words or 'without a word'}")

    def _take(self, replica: int, process: subprocess.Popen[bytes]) -> bool:
        """What has come. False at the end of it."""
        assert process.stdout is not None
        try:
            data = os.read(process.stdout.fileno(), 1 << 16)
        except BlockingIOError:
            return True
        *lines, self._rest[replica] = (self._rest[replica] + data).split(b"\n")
        for line in lines:
            message: dict[str, Any] = json.loads(line)
            self.messages.append(message)
            if message["event"] == "member":
                self._peers[replica] = message["peer"]
            elif message["event"] == "done":
                self.done[replica] = message
        return bool(data)

    def stop(self) -> None:
        """They end together, after a step."""
        for process in self.processes.values():
            assert process.stdin is not None
            process.stdin.write(b"stop\n")
            process.stdin.flush()

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.processes.clear()
        self._selector.close()
