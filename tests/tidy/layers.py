#!/usr/bin/env python3
"""The layer and purity test.

Includes go strictly downward, nothing below the purity line knows a clock, a thread, a socket, the environment or
randomness, and files stay short enough to read. Checks the sources by their text and, with --build, the archives below
the line by their undefined symbols (nm -uC).

  layers.py                    check the sources
  layers.py --build DIR        also check the archives of a CMake build
  layers.py --self-test        plant one violation of each kind in a copy and see that each is found
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Lowest first. Folders of one row may not include one another.
LEVELS = [
    ["base"],
    ["wire", "reduce", "hash", "erasure"],
    ["codec"],
    ["topology"],
    ["collective"],
    ["core"],
    ["state"],
    # ------------------------------------------------------------ the purity line
    ["net", "device", "store", "snapshot"],
    ["runtime"],
    ["capi", "master"],
]
LEVEL = {folder: i for i, row in enumerate(LEVELS) for folder in row}
LAST_PURE = LEVEL["state"]

BANNED_HEADERS = {
    "chrono", "thread", "mutex", "shared_mutex", "atomic", "condition_variable", "future", "semaphore", "latch",
    "barrier", "stop_token", "random", "iostream", "fstream", "cstdio", "stdio.h", "ctime", "time.h", "filesystem",
    "unordered_map", "unordered_set", "unistd.h", "fcntl.h", "poll.h", "netdb.h", "pthread.h", "signal.h", "csignal",
    "syslog.h", "spawn.h", "dlfcn.h",
}
BANNED_HEADER_PREFIXES = ("sys/", "netinet/", "arpa/", "net/", "linux/")
BANNED_NAMES = re.compile(
    r"(?<![\w.>])(getenv|secure_getenv|setenv|random_device|mt19937|srand|rand|clock_gettime|gettimeofday|usleep|nanosleep|"
    r"[vdfs]*n?printf|puts|abort|_?[Ee]xit|quick_exit|terminate)\s*\("
    r"|\btime\s*\(\s*(?:nullptr|NULL|0|&\w+)\s*\)"
    r"|\b(thread_local|random_device)\b"
    r"|\bstd::(?:thread|jthread|mutex|atomic|chrono|cout|cerr|clog|unordered_\w+)\b"
)
# What the archives below the line may not call.
BANNED_SYMBOLS = re.compile(
    r"^(clock_gettime|gettimeofday|time|clock|nanosleep|clock_nanosleep|usleep|sleep|pthread_\w+|syscall|socket|connect|"
    r"accept\w*|listen|bind|shutdown|send|send\w+|recv|recv\w+|getaddrinfo|poll|epoll_\w+|select|open\w*|close|p?readv?|"
    r"p?writev?|fopen\w*|fread|fwrite|ioctl|fcntl|mmap|dlopen|fork|getenv|secure_getenv|setenv|rand|rand_r|random|srand|"
    r"[dejlmn]rand48|arc4random\w*|getrandom|getentropy|exit|_exit|_Exit|quick_exit|abort|raise|kill|signal|sigaction|"
    r"[vdfs]*n?printf|__[vdfs]*n?printf_chk|puts|putchar|std::terminate|__assert_fail|__tls_get_addr|"
    r"std::random_device.*|std::chrono::.*now.*|std::(?:this_)?thread.*|std::condition_variable.*|"
    r"std::(?:cout|cerr|clog|ios_base::Init.*)|std::_Hash_bytes.*|std::__detail::_Prime_rehash_policy.*)(@.*)?(\(.*)?$"
)
# Exceptions, each with its reason. One that nothing needs any more is itself a problem.
# A source: (file from the repository's root, the header or the name it may use) -> why.
ALLOWED_IN_SOURCES = {}
# An archive: (its folder, the symbol it may call) -> why.
ALLOWED_SYMBOLS = {}
SUFFIXES = {".h", ".cpp", ".c"}
LONG, TOO_LONG = 400, 500
NOTES = set()
NEEDED = set()
LONG_REASON = re.compile(r"Long because:")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')


def strip_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group(0).count("\n"), text, flags=re.S)
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)
    return re.sub(r"//[^\n]*", "", text)


def allowed(path, what):
    """Whether a reason is given for it; remembers that it was needed."""
    for file, name in ALLOWED_IN_SOURCES:
        if path.as_posix().endswith("/" + file) and name == what:
            NEEDED.add((file, name))
            return True
    return False


def check_includes(path, folder, text):
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quoted, name = match.group(1) == '"', match.group(2)
        if quoted:
            target = name.split("/")[0]
            if "/" not in name or target not in LEVEL:
                yield f'{path}:{number}: "{name}" is not named from src/: write "folder/file.h"'
            elif target != folder and LEVEL[target] >= LEVEL[folder]:
                yield (f"{path}:{number}: {folder}/ may not include {target}/: includes go strictly downward "
                       f"(the order is in tests/tidy/layers.py)")
        elif (LEVEL[folder] <= LAST_PURE and (name in BANNED_HEADERS or name.startswith(BANNED_HEADER_PREFIXES))
              and not allowed(path, name)):
            yield f"{path}:{number}: <{name}> below the purity line: take time, randomness and I/O as arguments"
        if name.startswith("asio") and not (folder == "net" and path.suffix == ".cpp"):
            yield f"{path}:{number}: only src/net/*.cpp includes Asio"


def check_names(path, folder, text):
    if LEVEL[folder] > LAST_PURE:
        return
    for number, line in enumerate(strip_comments(text).splitlines(), 1):
        for match in BANNED_NAMES.finditer(line):
            name = match.group(0).split("(")[0].strip()
            if not allowed(path, name):
                yield (f"{path}:{number}: {name} below the purity line: take time and randomness as arguments, return I/O "
                       f"as an effect, report a broken invariant with SEAWAY_ASSERT, use ordered containers")


def check_length(path, text):
    lines = text.count("\n")
    reason = LONG_REASON.search("\n".join(text.splitlines()[:30]))
    if lines > TOO_LONG and not reason:
        yield f"{path}: {lines} lines: split it, or say why not in a line `// Long because: ...` near its top"
    elif lines > LONG:
        NOTES.add(f"note: {path}: {lines} lines, more than the {LONG} that read well")


def check_sources(root):
    for folder in sorted(p for p in (root / "src").iterdir() if p.is_dir()):
        if folder.name not in LEVEL:
            yield f"{folder}: a folder without a layer: give it one in tests/tidy/layers.py"
            continue
        for path in sorted(folder.rglob("*")):
            if path.suffix in SUFFIXES:
                text = path.read_text()
                yield from check_includes(path, folder.name, text)
                yield from check_names(path, folder.name, text)
                yield from check_length(path, text)
    for path in sorted((root / "tests").rglob("*")):
        if path.suffix in SUFFIXES:
            yield from check_length(path, path.read_text())


def check_archives(root, build):
    found = False
    for folder in sorted(name for name, level in LEVEL.items() if level <= LAST_PURE):
        archives = sorted(build.rglob(f"libseaway_{folder}.a"))
        found = found or bool(archives)
        if not archives and list((root / "src" / folder).glob("*.cpp")):
            yield f"{build}: no libseaway_{folder}.a: build first"
        for archive in archives:
            output = subprocess.run(["nm", "-uC", str(archive)], capture_output=True, text=True, check=True).stdout
            yield from check_symbols(archive, folder, output)
    if not found:
        yield f"{build}: no archives of the layers below the purity line: build first"


def check_symbols(archive, folder, output):
    member = ""
    for line in output.splitlines():
        if line.endswith(".o:"):
            member = line[:-1]
            continue
        symbol = re.sub(r"^\s*[UwvV]\s+", "", line).strip()
        if not BANNED_SYMBOLS.match(symbol):
            continue
        if (folder, symbol) in ALLOWED_SYMBOLS:
            NEEDED.add((folder, symbol))
            continue
        yield (f"{archive}: {member} calls {symbol}: nothing below the purity line may; take it as an argument, return it "
               f"as an effect, or give a reason in ALLOWED_SYMBOLS")


def check_exceptions(exceptions, name):
    for entry in sorted(set(exceptions) - NEEDED):
        yield f"{pathlib.Path(__file__)}: {name} has {entry}, which nothing needs any more: remove it"


def self_test():
    plants = {
        "an include upward": ("src/base/planted.h", '#include "core/master.h"\n'),
        "an include of the same level": ("src/wire/planted.h", '#include "reduce/reduce.h"\n'),
        "an include upward among the state machines": ("src/collective/planted.h", '#include "core/peer.h"\n'),
        "an include across the purity line": ("src/core/planted.cpp", '#include "net/stream.h"\n'),
        "an include not named from src/": ("src/core/planted.cpp", '#include "planted2.h"\n'),
        "a clock": ("src/core/planted.cpp", "#include <chrono>\n"),
        "a clock by name": ("src/core/planted.cpp", "auto t = time(nullptr);\n"),
        "a thread": ("src/core/planted.cpp", "std::thread t;\n"),
        "a socket": ("src/collective/planted.cpp", "#include <sys/socket.h>\n"),
        "unordered iteration": ("src/core/planted.cpp", "#include <unordered_map>\n"),
        "randomness": ("src/core/planted.cpp", "std::random_device d;\n"),
        "the environment": ("src/core/planted.cpp", 'auto x = getenv("X");\n'),
        "a print": ("src/core/planted.cpp", 'void f() { printf("x"); }\n'),
        "an exit": ("src/base/planted.cpp", "void f() { abort(); }\n"),
        "a long file": ("src/base/planted.h", "\n" * (TOO_LONG + 1)),
        "a long test": ("tests/planted.cpp", "\n" * (TOO_LONG + 1)),
        "a folder without a layer": ("src/planted/planted.h", "\n"),
        "Asio outside of net": ("src/runtime/planted.cpp", "#include <asio.hpp>\n"),
    }
    innocent = {
        "a downward include": ("src/core/planted.cpp", '#include "base/time.h"\n#include <map>\n'),
        "a comment": ("src/core/planted.cpp", '// abort() and #include <chrono>\nconst char* s = "getenv(x)";\n'),
        "names that only look alike": ("src/core/planted.cpp", "int exit_code(); int x = op.time(now) + brand(3);\n"),
        "a clock above the line": ("src/net/planted.cpp", "#include <chrono>\n"),
        "a long file with a reason": ("src/base/planted.h", "// Long because: a table.\n" + "\n" * TOO_LONG),
    }
    wrong = []
    with tempfile.TemporaryDirectory() as name:
        copy = pathlib.Path(name)
        for folder in ("src", "tests"):
            shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
        before = set(check_sources(copy))
        for found, cases in ((True, plants), (False, innocent)):
            for what, (path, text) in cases.items():
                file = copy / path
                created = not file.parent.exists()
                file.parent.mkdir(exist_ok=True)
                file.write_text(text)
                if bool(set(check_sources(copy)) - before) != found:
                    wrong.append(what)
                file.unlink()
                if created:
                    file.parent.rmdir()
        wrong += self_test_archives(copy)
    return [f"self-test: {what} was not judged rightly" for what in wrong]


def self_test_archives(copy):
    """Compiles a clock call into an archive, and judges symbols as nm writes them."""
    wrong = []
    build = copy / "build"
    build.mkdir()
    source, thing = copy / "planted.cpp", build / "planted.o"
    source.write_text("extern \"C\" long time(long*);\nlong planted() { return time(nullptr); }\n")
    if not any("build first" in problem for problem in check_archives(copy, build)):
        wrong.append("a build folder without archives")
    subprocess.run(["c++", "-c", "-o", str(thing), str(source)], check=True)
    subprocess.run(["ar", "rcs", str(build / "libseaway_core.a"), str(thing)], check=True)
    if not any("planted.o calls time" in problem for problem in check_archives(copy, build)):
        wrong.append("a clock in an archive")
    for symbol in ("clock_gettime@GLIBC_2.17", "send", "std::chrono::_V2::system_clock::now()", "__printf_chk", "abort",
                   "pthread_mutex_lock", "std::random_device::_M_getval()", "std::cout"):
        if not list(check_symbols("x.a", "core", f"                 U {symbol}\n")):
            wrong.append(symbol)
    for symbol in ("std::__throw_out_of_range(char const*)", "memcpy", "seaway::send(int)", "operator new(unsigned long)",
                   "_GLOBAL_OFFSET_TABLE_", "std::_Rb_tree_increment(std::_Rb_tree_node_base*)"):
        if list(check_symbols("x.a", "core", f"                 U {symbol}\n")):
            wrong.append(f"the innocent {symbol}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, help="a CMake build folder whose archives to check")
    parser.add_argument("--self-test", action="store_true", help="check the checker")
    options = parser.parse_args()
    if options.self_test:
        problems = self_test()
    else:
        problems = list(check_sources(ROOT)) + list(check_exceptions(ALLOWED_IN_SOURCES, "ALLOWED_IN_SOURCES"))
        if options.build:
            problems += check_archives(ROOT, options.build)
            problems += check_exceptions(ALLOWED_SYMBOLS, "ALLOWED_SYMBOLS")
        for note in sorted(NOTES):
            print(note)
    print("\n".join(problems) if problems else "layers: nothing found")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
