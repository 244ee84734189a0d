"""Work on a file that somebody else wrote in a process that can compute and read, and do nothing else.

The kernel's filter of system calls (seccomp) holds for any user, root included, and inside containers; it cannot be taken off
again. A confined process opens no file for writing and no socket, starts no program and no other process, sends no signals;
its answer goes through a file that was opened before. What the filter does not name is refused, so that calls which newer kernels
have are refused too. Memory, CPU time and the size of what it writes are limited.
"""

import contextlib
import ctypes
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
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from ionmelt.errors import DiskFullError, Exit, UserError, blamed
from ionmelt.models.system_calls import MACHINES, program

GIB = 2**30
MEMORY_BYTES = 8 * GIB
ANSWER_BYTES = 2 * GIB  # of the answer, and of a model that is written
CPU_S = 1800
WALL_S = 1200  # one that hangs keeps nobody waiting for a day

PR_SET_NO_NEW_PRIVS = 38
SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC = 1, 1  # for the threads that libraries have begun, too


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


class Request(BaseModel):
    """What a script is asked; it is handed on as JSON."""

    files: tuple[int, ...] = ()  # descriptors of the files that it may write


class Refusal(BaseModel):
    """The answer of a script that found mistakes of the user."""

    errors: tuple[str, ...]


Answer = TypeVar("Answer", bound=BaseModel)
Asked = TypeVar("Asked", bound=Request)


def ask(
    script: Path, request: Request, kind: type[Answer], environment: dict[str, str], what: str, *files: Path
) -> Answer:
    """Return what a script answers, of a kind, to a request about `what`, as messages begin.

    `files` are opened for it to write; the request has their descriptors. Raises `UserError` with the mistakes that it found,
    or where the file itself is why it did not end well; MemoryError and `DiskFullError` for the machine; RuntimeError for a bug.
    """
    environment = environment | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as words:
        opened = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666) for path in files]
        try:
            done = subprocess.run(
                [
                    sys.executable,
                    "-P",
                    str(script),
                ],  # -P: files beside the script are not imported in place of libraries
                input=request.model_copy(update={"files": tuple(opened)})
                .model_dump_json(exclude_unset=True, by_alias=True)
                .encode(),
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
    if done.returncode == 0:
        with contextlib.suppress(ValidationError):
            raise UserError(*Refusal.model_validate_json(text).errors)
        with contextlib.suppress(ValidationError):
            return kind.model_validate_json(text)
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


def answer(request_kind: type[Asked], work: Callable[[Asked], BaseModel]) -> int:
    """Be the script that is asked: read the request, of its kind, do the work, write what it returns; returns the exit code.

    `work` confines the process itself, when what it needs is imported.
    """
    request = request_kind.model_validate_json(sys.stdin.buffer.read())
    channel = os.dup(1)
    os.dup2(2, 1)  # what libraries print is not the answer
    try:
        given: BaseModel = work(request)
    except UserError as error:
        given = Refusal(errors=tuple(error.errors))
    except Exception as error:
        kind, words = blamed(error)
        print(words, file=sys.stderr)
        if kind is Exit.BUG:
            raise
        return int(kind)
    text = given.model_dump_json(exclude_unset=True, by_alias=True).encode()
    while text:
        text = text[os.write(channel, text) :]
    return 0
