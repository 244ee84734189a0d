"""Work on a file that somebody else wrote in a process that can compute and read, and do nothing else.

The kernel's filter of system calls (seccomp) holds for any user, root included, and inside containers; it cannot be taken off
again. A confined process opens no file for writing and no socket, starts no program and no other process, sends no signals;
its answer goes through a file that was opened before. What the filter does not name is refused, so that calls which newer kernels
have are refused too. Memory, CPU time and the size of what it writes are limited.
"""

import ctypes
import json
import os
import platform
import resource
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ionmelt.errors import DiskFullError, Exit, UserError, blamed

GIB = 2**30
MEMORY_BYTES = 8 * GIB
ANSWER_BYTES = 2 * GIB  # of the answer, and of a model that is written
CPU_S = 1800
WALL_S = 3600

# Calls that are allowed whatever their arguments: their numbers on x86_64 and on aarch64 (None: it has no such call).
ALLOWED: dict[str, tuple[int, int | None]] = {
    # what is open already, and reading
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "stat": (4, None), "lstat": (6, None),
    "newfstatat": (262, 79), "statx": (332, 291), "poll": (7, None), "ppoll": (271, 73), "lseek": (8, 62), "pread64": (17, 67),
    "readv": (19, 65), "writev": (20, 66), "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439),
    "fcntl": (72, 25), "getcwd": (79, 17), "readlink": (89, None), "readlinkat": (267, 78), "getdents64": (217, 61),
    "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24), "statfs": (137, 43), "fstatfs": (138, 44), "fadvise64": (221, 223),
    "eventfd2": (290, 19),
    # memory
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "mremap": (25, 216), "madvise": (28, 233),
    "mincore": (27, 232), "mlock": (149, 228), "munlock": (150, 229), "get_mempolicy": (239, 236),
    # threads, signals to itself, time
    "futex": (202, 98), "futex_waitv": (449, 449), "set_tid_address": (218, 96), "set_robust_list": (273, 99),
    "get_robust_list": (274, 100), "rseq": (334, 293), "membarrier": (324, 283), "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123), "sched_setaffinity": (203, 122), "sched_getparam": (143, 121), "sched_getscheduler": (145, 120),
    "sched_get_priority_max": (146, 125), "sched_get_priority_min": (147, 126), "getcpu": (309, 168), "arch_prctl": (158, None),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "rt_sigtimedwait": (128, 137),
    "sigaltstack": (131, 132), "restart_syscall": (219, 128), "nanosleep": (35, 101), "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153),
    "exit": (60, 93), "exit_group": (231, 94),
    # what it is, and where
    "getpid": (39, 172), "gettid": (186, 178), "getppid": (110, 173), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "getgroups": (115, 158), "getpgrp": (111, None), "getpgid": (121, 155),
    "getsid": (124, 156), "uname": (63, 160), "sysinfo": (99, 179), "getrlimit": (97, 163), "getrusage": (98, 165),
    "getrandom": (318, 278),
}  # fmt: skip
# Machines: the kernel's name of the architecture, the column above, and the calls whose arguments are looked at.
MACHINES: dict[str, tuple[int, int, dict[str, int]]] = {
    "x86_64": (0xC000003E, 0, {"open": 2, "openat": 257, "clone": 56, "prctl": 157, "prlimit64": 302, "tgkill": 234, "seccomp": 317}),
    "aarch64": (0xC00000B7, 1, {"openat": 56, "clone": 220, "prctl": 167, "prlimit64": 261, "tgkill": 131, "seccomp": 277}),
}  # fmt: skip
# What no confined process may do, one that may write and fork included.
PROGRAMS_AND_NETWORK: dict[str, tuple[int, int]] = {
    "execve": (59, 221), "execveat": (322, 281), "socket": (41, 198), "io_uring_setup": (425, 425), "ptrace": (101, 117),
    "process_vm_writev": (311, 271),
}  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_PATH", 0)
CLONE_THREAD = 0x00010000
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC = 1, 1  # for the threads that libraries have begun, too
HARMLESS_PRCTL = (3, 15, 16, 0x53564D41)  # GET_DUMPABLE, SET_NAME, GET_NAME, SET_VMA: names
EPERM, ENOSYS = 1, 38
ALLOW, REFUSE, ABSENT = 0x7FFF0000, 0x00050000 | EPERM, 0x00050000 | ENOSYS
# Classic BPF: load a word of the call's record; jump if equal, if greater or equal, if a bit is set; return.
LOAD, EQUAL, AT_LEAST, BITS, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16


def _instruction(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value & 0xFFFFFFFF)


def _argument(index: int, high: bool = False) -> bytes:
    return _instruction(LOAD, ARGUMENTS + 8 * index + (4 if high else 0))


def _when(number: int, then: list[bytes]) -> list[bytes]:
    """Return instructions that are for one call alone; `then` ends in a return."""
    return [_instruction(EQUAL, number, 0, len(then)), *then]


def _return(value: int) -> bytes:
    return _instruction(RETURN, value)


def program(machine: str, writes: bool) -> bytes:
    """Return the filter (classic BPF) for a machine; raises KeyError for one whose calls are not known here."""
    architecture, column, checked = MACHINES[machine]
    lines = [
        _instruction(LOAD, ARCHITECTURE),
        _instruction(EQUAL, architecture, 1, 0),
        _return(REFUSE),
        _instruction(LOAD, NUMBER),
        _instruction(AT_LEAST, 0x40000000, 0, 1),  # the other numbers of x86_64, for 32-bit pointers
        _return(REFUSE),
    ]
    for numbers in PROGRAMS_AND_NETWORK.values():
        lines += _when(numbers[column], [_return(REFUSE)])
    if writes:
        return b"".join([*lines, _return(ALLOW)])
    for name, index in (("open", 1), ("openat", 2)):
        if name in checked:
            only_reading = [_argument(index), _instruction(BITS, WRITING, 0, 1), _return(REFUSE), _return(ALLOW)]
            lines += _when(checked[name], only_reading)
    lines += _when(
        checked["clone"], [_argument(0), _instruction(BITS, CLONE_THREAD, 1, 0), _return(REFUSE), _return(ALLOW)]
    )
    options = [_instruction(EQUAL, option, len(HARMLESS_PRCTL) - i, 0) for i, option in enumerate(HARMLESS_PRCTL)]
    lines += _when(checked["prctl"], [_argument(0), *options, _return(REFUSE), _return(ALLOW)])
    asks_only = [_argument(2), _instruction(EQUAL, 0, 1, 0), _return(REFUSE), _argument(2, high=True)]
    asks_only += [_instruction(EQUAL, 0, 1, 0), _return(REFUSE), _return(ALLOW)]
    lines += _when(checked["prlimit64"], asks_only)
    to_itself = [_argument(0), _instruction(EQUAL, os.getpid(), 1, 0), _return(REFUSE), _return(ALLOW)]
    lines += _when(checked["tgkill"], to_itself)
    for known in ALLOWED.values():
        if (number := known[column]) is not None:
            lines += _when(number, [_return(ALLOW)])
    return b"".join([*lines, _return(ABSENT)])


def confine(writes: bool = False) -> str | None:
    """Confine this process for good; with `writes` it may write files and fork, and is kept from programs and the network alone.

    Returns None, or why the kernel does not do it, in words.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for limit, value in (
        (resource.RLIMIT_DATA, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_FSIZE, ANSWER_BYTES),
    ):
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))
    machine = platform.machine()
    if sys.platform != "linux" or machine not in MACHINES or struct.calcsize("P") != 8:
        return f"{sys.platform} on {machine} is not supported"
    code = program(machine, writes)
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(code, len(code))
    filter_ = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    held = ctypes.create_string_buffer(filter_, len(filter_))
    number = MACHINES[machine][2]["seccomp"]
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(
        number, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, held
    ):
        return f"this kernel has no filter of system calls ({os.strerror(ctypes.get_errno())})"
    return None


# --- Asking, and answering -----------------------------------------------------------------------------


def ask(script: Path, request: dict[str, Any], environment: dict[str, str], what: str, *files: Path) -> dict[str, Any]:
    """Return what a script answers to a request about `what`, as messages begin.

    `files` are opened for it to write; the request has their descriptors. Raises `UserError` with the mistakes that it found,
    or where the file itself is why it did not end well; MemoryError and `DiskFullError` for the machine; RuntimeError for a bug.
    """
    environment = environment | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as words:
        opened = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666) for path in files]
        try:
            done = subprocess.run(
                [sys.executable, "-P", str(script)],  # whose neighbours hide no library
                input=json.dumps(request | {"files": opened}).encode(),
                stdout=answer,
                stderr=words,
                env=environment,
                pass_fds=opened,
                timeout=WALL_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise UserError(f"{what}: it was not opened and tried within {WALL_S // 60} minutes") from None
        finally:
            for descriptor in opened:
                os.close(descriptor)
        answer.seek(0)
        text = answer.read(10**7).decode(errors="replace")
        words.seek(max(0, words.seek(0, os.SEEK_END) - 4000))
        said = words.read().decode(errors="replace")
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if done.returncode == 0 and isinstance(found, dict):
        if errors := found.get("errors"):
            raise UserError(*map(str, errors))
        return found
    last = " ".join(said.split())[-300:]
    if done.returncode == Exit.MEMORY or done.returncode == -signal.SIGKILL:
        raise MemoryError(
            f"{what}: it was opened and tried with {MEMORY_BYTES // GIB} GiB at most: {last or 'it was killed'}"
        )
    if done.returncode == Exit.DISK:
        raise DiskFullError(last)
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise UserError(f"{what}: it ended the process that opened it ({name})")
    raise RuntimeError(f"the process that opened a model failed: {last}")


def answer(work: Callable[[dict[str, Any]], dict[str, Any]]) -> int:
    """Be the script that is asked: read the request, do the work, write what it returns; returns the exit code.

    `work` confines the process itself, when what it needs is imported.
    """
    request = json.loads(sys.stdin.buffer.read())
    channel = os.dup(1)
    os.dup2(2, 1)  # what libraries print is not the answer
    try:
        found = work(request)
    except UserError as error:
        found = {"errors": error.errors}
    except Exception as error:
        kind, words = blamed(error)
        print(words, file=sys.stderr)
        if kind is Exit.BUG:
            raise
        return int(kind)
    text = json.dumps(found).encode()
    while text:
        text = text[os.write(channel, text) :]
    return 0
