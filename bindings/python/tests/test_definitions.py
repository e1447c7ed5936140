"""What cffi reads is what the headers say, and what the library has."""

from __future__ import annotations

import importlib.util
import pathlib
import re
import types

import seaway
from seaway._cdef import CDEF
from seaway._library import ffi, lib

SOURCE = pathlib.Path(__file__).resolve().parent.parent


def generator() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("generate_cdef", SOURCE / "generate_cdef.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_definitions_are_those_of_the_headers() -> None:
    assert (SOURCE / "src" / "seaway" / "_cdef.py").read_text() == generator().module(), "run generate_cdef.py"


def test_every_function_of_the_headers_is_there() -> None:
    text = "\n".join((generator().INCLUDE / name).read_text() for name in generator().HEADERS)
    declared = re.findall(r"SEAWAY_API [^;(]*?(seaway_\w+)\(", text)
    assert len(declared) == text.count("SEAWAY_API ") - text.count("define SEAWAY_API ")
    assert len(declared) >= 30
    for name in declared:
        assert ffi.typeof(getattr(lib, name)).kind == "function"


def test_integer_macros_and_enums_come_through() -> None:
    assert lib.SEAWAY_REPLICA_ANY == 2**32 - 1
    assert (lib.SEAWAY_OK, lib.SEAWAY_NO_MEMORY) == (0, 401)
    assert "/*" not in CDEF and "__cplusplus" not in CDEF


def test_the_generator_keeps_what_it_should_of_a_header() -> None:
    header = (
        '#ifndef X\n#define X\n#ifdef __cplusplus\nextern "C" {\n#endif\n/* gone\n */\n#define SEAWAY_FEW 8\n'
        '#define SEAWAY_TEXT "no"\n#define SEAWAY_API __attribute__((x))\nSEAWAY_API int f(void); // gone\n'
        "#ifdef __cplusplus\n}\n#endif\n#endif\n"
    )
    assert generator().declarations(header) == "#define SEAWAY_FEW 8\nint f(void);"


def test_the_library_and_the_headers_have_one_version() -> None:
    headers = (lib.SEAWAY_VERSION_MAJOR, lib.SEAWAY_VERSION_MINOR, lib.SEAWAY_VERSION_PATCH)
    assert seaway.__version__ == ".".join(map(str, headers))


def test_every_status_has_its_exception() -> None:
    from seaway._errors import _CLASSES, make_error

    classes = {1: seaway.CallError, 2: seaway.GroupError, 3: seaway.LinkError, 4: seaway.InternalError}
    for name, value in re.findall(r"(SEAWAY_\w+) = (\d+)", CDEF[CDEF.index("enum seaway_status") : CDEF.index("} seaway_status")]):
        if name == "SEAWAY_OK":
            continue
        error = make_error(int(value), "a test")
        assert int(value) in _CLASSES and error.status == int(value) and error.name == name
        assert isinstance(error, classes.get(int(value) // 100, seaway.Pending))
        assert isinstance(error, RuntimeError) and "a test" in str(error)
    assert issubclass(seaway.InvalidError, ValueError)
    assert issubclass(seaway.Pending, TimeoutError)
    assert issubclass(seaway.NoMaster, ConnectionError)
    assert issubclass(seaway.OutOfMemory, MemoryError)
