"""The engine in a process of its own: a frame that crashes or hangs it costs that frame."""

import ctypes
import importlib
import multiprocessing
import os
import shutil
import signal
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from ase import Atoms

from ionmelt import errors
from ionmelt.errors import DiskFullError, UserError
from ionmelt.frame import Label, no_label, overlaps, shown, values_problem
from ionmelt.labels.engines import ENGINES
from ionmelt.labels.engines.settings import LabelledBoxes, LabelledModel, LabelTasks
from ionmelt.labels.settings import ForceFieldLabelSettings, LabelSettings, ModelLabelSettings
from ionmelt.labels.store_entry import Answer

START_S = 600.0  # for an engine to load its libraries from a slow disk
# Reasons that lie with the machine: with more memory, or on another node, there might be a label.
OF_THE_MACHINE: dict[str, type[Exception]] = {
    "disk_full": DiskFullError,
    "out_of_memory": MemoryError,
    "engine_killed": MemoryError,  # by signal 9: the kernel ends a process so when memory is short
}
FREE_LEAST = 1 << 20  # bytes: an engine that failed with less disk left than this most likely failed for want of it


def disk_is_full(error: Exception | None = None) -> bool:
    """Tell whether an error, or what is left where engines write, says that the disk is full."""
    said = isinstance(error, OSError) and error.errno in errors.DISK_ERRORS
    return said or shutil.disk_usage(".").free < FREE_LEAST


Given = LabelledBoxes | LabelledModel


@dataclass(frozen=True)
class Folders:
    """What an engine may compute with: the folders of the liquids' boxes, for their force fields, or that of a model."""

    boxes: Sequence[Path] = ()
    model: Path | None = None

    def given(self, settings: LabelSettings) -> tuple[Given, ...]:
        """Return what the engine of some settings is given of them; raises `UserError` where its model is missing."""
        if isinstance(settings, ForceFieldLabelSettings):
            return (LabelledBoxes(tuple(self.boxes), settings.force_fields),)
        if not isinstance(settings, ModelLabelSettings):
            return ()
        if self.model is None:
            raise UserError(f"labels.engine: {settings.engine}: the folder of its model is not given")
        return (LabelledModel(self.model, settings.teacher),)


def serve(pipe: Connection, module: str, settings: LabelTasks, threads: int, *given: Given) -> None:
    """Label the frames that come through a pipe until it closes (runs in the engine's process)."""
    os.setpgid(0, 0)  # so that the programs an engine starts can be ended along with it
    with suppress(OSError, AttributeError):  # Linux: this process ends when its parent is killed
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    try:
        with errors.reading(f"labels.engine: {module} cannot be loaded here"):
            engine = importlib.import_module(module).Engine(settings, threads, *given)
    except UserError as error:
        pipe.send(error.errors)
        return
    except Exception as error:  # of memory or disk
        memory = errors.blamed(error)[0] is errors.Exit.MEMORY
        pipe.send((MemoryError if memory else DiskFullError)(str(error)))
        return
    pipe.send(engine.version)
    while True:
        try:
            atoms, cold = pipe.recv()
        except EOFError:
            return
        try:
            label = engine.label(atoms, cold=cold)
        except UserError as error:
            pipe.send(error.errors)
            return
        except Exception as error:  # whatever an engine raises on one frame must cost one frame
            with suppress(OSError):
                traceback.print_exc()
            memory = errors.blamed(error)[0] is errors.Exit.MEMORY
            label = no_label("out_of_memory" if memory else "disk_full" if disk_is_full(error) else "engine_error")
        if label.reason == "engine_error" and disk_is_full():  # which a program that the engine runs has met
            label.reason = "disk_full"
        pipe.send(label)


class Worker:
    """The engine in a process of its own, started when it is first needed and again after a crash."""

    def __init__(self, settings: LabelSettings, threads: int, folders: Folders | None = None) -> None:
        given = (folders or Folders()).given(settings)
        self.arguments = (ENGINES[settings.engine].module, settings.section(), threads, *given)
        self.max_frame_s = settings.max_frame_s
        self.process: SpawnProcess | None = None
        self.pipe: Connection | None = None
        self.version: str | None = None

    def answer(self, atoms: Atoms, cold: bool = False) -> Answer:
        """Return what the engine says of one frame; overlapping atoms are not shown to it."""
        if overlaps(atoms):
            return Answer(no_label("overlap"), 0.0, self.version)
        if self.pipe is None:
            self.start()
        start = time.perf_counter()
        label = self.label(shown(atoms), cold)
        return Answer(checked(label, len(atoms)), round(time.perf_counter() - start, 3), self.version)

    def label(self, atoms: Atoms, cold: bool) -> Label:
        """Label one frame; ``engine_crashed`` or ``engine_killed`` if the process ended on it, ``engine_timeout`` if for it."""
        assert self.pipe is not None
        assert self.process is not None
        try:
            self.pipe.send((atoms, cold))
            if not self.pipe.poll(self.max_frame_s):
                self.close(at_once=True)
                return no_label("engine_timeout")
            word = self.pipe.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self.process.join(timeout=START_S)
            killed = self.process.exitcode == -signal.SIGKILL
            self.close(at_once=True)
            return no_label("disk_full" if disk_is_full() else "engine_killed" if killed else "engine_crashed")
        if isinstance(word, list):
            raise UserError(*word)
        return word

    def start(self) -> None:
        """Start the process; a mistake in the settings that the engine finds is raised here."""
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, *self.arguments), daemon=True)
        self.process.start()
        theirs.close()
        if not self.pipe.poll(START_S):
            self.close(at_once=True)
            raise UserError(f"labels.engine: {self.arguments[0]} did not start within {START_S:g} s")
        try:
            word = self.pipe.recv()
        except EOFError:
            self.process.join(timeout=START_S)
            if self.process.exitcode == -signal.SIGKILL:
                raise MemoryError("engine_killed") from None
            raise UserError(f"labels.engine: {self.arguments[0]} did not start; its own words stand above") from None
        if isinstance(word, list | MemoryError | DiskFullError):
            self.close()
            raise UserError(*word) if isinstance(word, list) else word
        self.version = word

    def close(self, at_once: bool = False) -> None:
        """End the process, and the programs that it started."""
        if self.pipe is not None:
            self.pipe.close()
        if self.process is not None:
            self.process.join(timeout=0 if at_once else 30)
            assert self.process.pid is not None
            with suppress(ProcessLookupError, PermissionError):  # no such group: it ended before it made one
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()
            self.process.join()
        self.pipe = self.process = None


def checked(label: Label, n_atoms: int) -> Label:
    """Return a label with the reason why its numbers cannot be used, if there is one."""
    if label.reason is None:
        if not label.converged:
            label.reason = "scf_not_converged"
        elif label.energy_ev is None or label.forces_ev_a is None or label.stress_ev_a3 is None:
            label.reason = "non_finite"
        else:
            label.reason = values_problem(label.energy_ev, label.forces_ev_a, label.stress_ev_a3, n_atoms)
    return label
