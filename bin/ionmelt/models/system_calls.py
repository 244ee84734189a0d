"""The system calls that a confined process may make, as a filter of the kernel (seccomp, classic BPF)."""

import os
import struct

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
        _instruction(AT_LEAST, 0x40000000, 0, 1),  # the x32 variants of the calls of x86_64
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
    for call in ALLOWED.values():
        if (number := call[column]) is not None:
            lines += _when(number, [_return(ALLOW)])
    return b"".join([*lines, _return(ABSENT)])
