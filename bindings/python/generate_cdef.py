#!/usr/bin/env python3
"""Makes src/seaway/_cdef.py, what cffi reads, out of the public headers.

    generate_cdef.py            writes it
    generate_cdef.py --check    says whether it is up to date (exit status 1: it is not)

The headers keep to what this understands: declarations, enums and structs, and macros that are integers. cffi cannot follow
preprocessor conditions, so there are none around declarations but the `extern "C"` of every C header.
"""

from __future__ import annotations

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
INCLUDE = HERE.parent.parent / "include" / "seaway"
HEADERS = ("version.h", "seaway.h", "master.h")
OUTPUT = HERE / "src" / "seaway" / "_cdef.py"

ENDS = (";", "{", "}", ",")
WIDEST = {"UINT16_MAX": str(2**16 - 1), "UINT32_MAX": str(2**32 - 1), "UINT64_MAX": str(2**64 - 1)}


def declarations(header: str) -> str:
    """The declarations of one header, without comments, conditions and attributes."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r'#ifdef __cplusplus\n(?:extern "C" \{|\})\n#endif\n', "", text)
    lines = []
    for line in text.splitlines():
        if line.startswith("#"):
            constant = re.fullmatch(r"#define (SEAWAY_\w+) (\w+)\s*", line)
            if constant:
                value = WIDEST.get(constant[2], constant[2])
                if re.fullmatch(r"0|[1-9][0-9]*", value):
                    lines.append(f"#define {constant[1]} {value}")
            continue
        line = re.sub(r"\bSEAWAY_API\s+", "", line).rstrip()
        # A declaration that the formatter broke, as its comment asks for room, is one line here.
        if line and lines and line.startswith(" ") and not lines[-1].startswith("#") and not lines[-1].endswith(ENDS):
            lines[-1] += " " + line.lstrip()
        elif line:
            lines.append(line)
    return "\n".join(lines)


def module() -> str:
    """The whole of src/seaway/_cdef.py."""
    text = "\n".join(declarations((INCLUDE / name).read_text(encoding="utf-8")) for name in HEADERS)
    assert '"""' not in text and "\\" not in text
    return (
        '"""What cffi reads: the declarations of include/seaway/*.h. Made by generate_cdef.py; do not edit."""\n\n'
        f'CDEF = """\n{text}\n"""\n'
    )


def main() -> int:
    if "--check" in sys.argv[1:]:
        if OUTPUT.read_text(encoding="utf-8") == module():
            return 0
        print(f"{OUTPUT} is out of date: run {pathlib.Path(__file__).name}", file=sys.stderr)
        return 1
    OUTPUT.write_text(module(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
