"""A master as a program: python -m seaway.master --listen HOST:PORT

Prints "listening on HOST:PORT" first, then "join string: ...". Ends on SIGTERM and SIGINT, with exit status 0.
"""

from __future__ import annotations

import argparse
import signal
import sys

import seaway


def main(arguments: list[str] | None = None) -> int:
    """The program. Returns its exit status: 0; 1 if it cannot listen; 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m seaway.master", description="Keeps the membership of one run.")
    parser.add_argument("--listen", default="127.0.0.1:7117", metavar="HOST:PORT", help="port 0 draws one (%(default)s)")
    parser.add_argument(
        "--plaintext",
        action="store_true",
        help="nothing is encrypted or authenticated; every peer has to ask for it too. For a private network",
    )
    options = parser.parse_args(arguments)
    # Blocked before the library starts threads, so that they leave the signals to this one.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        with seaway.Master(options.listen, plaintext=options.plaintext) as master:
            print(f"listening on {master.address}", flush=True)
            if not options.plaintext:
                print(f"join string: {master.join}", flush=True)
            signal.sigwait(ends)
    except seaway.InvalidError as error:
        print(f"seaway.master: {error}", file=sys.stderr)
        return 2
    except seaway.Error as error:
        print(f"seaway.master: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
