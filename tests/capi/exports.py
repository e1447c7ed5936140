#!/usr/bin/env python3
"""libseaway.so shows exactly what include/seaway/*.h declares, and its SONAME has the number of the ABI.

  exports.py build/dev/src/libseaway.so
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Version nodes and what some linkers add; none is code.
NOT_OURS = {"_init", "_fini", "_edata", "_end", "__bss_start"}


def declared():
    names = set()
    for header in sorted((ROOT / "include" / "seaway").glob("*.h")):
        text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
        names |= set(re.findall(r"^SEAWAY_API [^;(]*?\b(seaway_\w+)\(", text, flags=re.M))
    return names


def exported(library):
    output = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1].split("@")[0] for line in output.splitlines()} - NOT_OURS


def main():
    library = sys.argv[1]
    names, symbols = declared(), exported(library)
    problems = [f"declared and not exported: {name}" for name in sorted(names - symbols)]
    problems += [f"exported and not declared: {name}" for name in sorted(symbols - names)]
    dynamic = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
    if "[libseaway.so.0]" not in dynamic:
        problems.append("the SONAME is not libseaway.so.0")
    if len(names) < 30:
        problems.append(f"only {len(names)} declarations were found: this test does not read the headers")
    print("\n".join(problems) if problems else f"exports: {len(names)} functions, none missing, none more")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
