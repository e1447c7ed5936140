"""What two_sites.sh ends with: whether both sites have the same model, and the picture.

    python verdict.py FOLDER
"""

from __future__ import annotations

import json
import pathlib
import sys

from report import draw


def main() -> int:
    folder = pathlib.Path(sys.argv[1])
    logs = {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in folder.glob("*.jsonl")}
    wrong = []
    for lane in (0, 1):
        ends = [next((each["digest"] for each in logs[f"{site}-{lane}"] if each["event"] == "done"), None) for site in "ab"]
        print(f"lane {lane}: site a ended with {ends[0]}, site b with {ends[1]}")
        if None in ends or ends[0] != ends[1]:
            wrong.append(f"lane {lane} is not the same at both sites")
    alone = [each for each in logs["a-0"] if each["event"] == "step" and each["world"] == 1]
    caught_up = [each for each in logs["b-0"] if each["event"] == "caught up"]
    if not caught_up:
        wrong.append("site b did not catch up")
    else:
        steps = [each for each in logs["a-0"] if each["event"] == "step"]
        print(f"site a made {len(alone)} rounds alone; site b caught up at step {caught_up[0]['step']}")
        print(f"loss at site a: {steps[0]['loss']:.3f} at step {steps[0]['step']}, {steps[-1]['loss']:.3f} at step {steps[-1]['step']}")
    print(f"the loss with both events: {draw(folder)}")
    for each in wrong:
        print(f"WRONG: {each}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
