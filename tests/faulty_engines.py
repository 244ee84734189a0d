"""Engines of labels that do what they should not, frames for them, and the task that labels with them."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Literal

import numpy as np
from ase import Atoms

from ionmelt.frame import make_frame
from ionmelt.frame_file import write_frames
from ionmelt.labels import labelling
from ionmelt.labels.engines import ENGINES
from ionmelt.labels.engines.settings import LabelTasks
from ionmelt.labels.settings import LabelSettings
from ionmelt.labels.store import Store, offsets_in
from ionmelt.settings import Count, Path_, Real

BIN = Path(__file__).resolve().parents[1] / "bin"
SETTINGS = {"engine": "xtb", "method": "GFN1-xTB", "accuracy": 0.1, "max_iterations": 250, "chunk": 20}
THEORY = "0123456789ab"


class Faulty(LabelTasks):
    """Settings of an engine that does what it should not."""

    engine: Literal["faulty"]
    folder: Path_ = "."
    pace_s: Real = 0.0


class TwoStates(LabelTasks):
    """Settings of an engine with two self-consistent states."""

    engine: Literal["two_states"]
    flips: Count = 0
    size: Real = 0.0


class Absent(LabelTasks):
    """Settings of an engine that is not there."""

    engine: Literal["absent"]


# What these engines do depends on the x of the first atom, which says which frame it is.
FAULTY_ENGINE = """
import errno
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from ionmelt.frame import Label

class Engine:
    version = "faulty 1"

    def __init__(self, settings, threads):
        self.folder = Path(settings.folder)
        self.pace_s = settings.pace_s

    def label(self, atoms, cold=False):
        number = round(atoms.positions[0, 0] * 10) - 10
        with (self.folder / "calls").open("a") as calls:
            calls.write(f"{number}\\n")
        time.sleep(self.pace_s)
        forces = np.zeros((len(atoms), 3))
        fault = number if number < 20 else 0
        if fault == 1:
            os._exit(11)
        if fault == 2:
            raise RuntimeError("no such thing")
        if fault == 3:
            forces[0, 0] = np.nan
        if fault == 4:
            return Label(-1.0, forces, np.zeros((3, 3)), False)
        if fault == 5:
            return Label(None, None, None, True)
        if fault == 6:
            forces[0], forces[1] = 99.0, -99.0
        if fault == 7:
            forces[:] = 0.1
        if fault == 10:
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == 11:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if fault == 12:
            program = subprocess.Popen(["sleep", "1000"])
            (self.folder / "pid").write_text(str(program.pid))
            program.wait()
        return Label(-1.0, forces, np.zeros((3, 3)), True, 3)
"""
# An engine with two self-consistent states: from frame `flips` on, a start from the frame before ends in the other one.
TWO_STATES_ENGINE = """
import numpy as np
from ionmelt.frame import Label

class Engine:
    version = "two states 1"

    def __init__(self, settings, threads):
        self.other, self.flips, self.size = None, settings.flips, settings.size

    def label(self, atoms, cold=False):
        number = round(atoms.positions[0, 0] * 10) - 10
        chained = self.other is not None and not cold
        self.other = chained and (self.other or number == self.flips)
        forces = np.zeros((len(atoms), 3))
        forces[0, 0], forces[1, 0] = self.size * self.other, -self.size * self.other
        return Label(-float(self.other), forces, np.zeros((3, 3)), True, 3, guess="chained" if chained else "cold")
"""


def frames(count: int, move: float = 0.03) -> list:
    arms = np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 1.42 / np.sqrt(3)
    start = np.vstack([[[1.0, 1.2, 1.1]], arms + np.array([3.2, 3.0, 2.8])])
    rng = np.random.default_rng(5)
    out = []
    for index in range(count):
        positions = start + rng.normal(scale=move, size=start.shape)
        positions[0, 0] = 1 + index / 10
        out.append(
            make_frame(
                np.array([3, 5, 9, 9, 9, 9]),
                positions,
                np.array([7.0, 7.3, 6.8]),
                np.array([0, 1, 1, 1, 1, 1]),
                ["li"] + ["bf4"] * 5,
                liquid="libf4",
                kind="eq",
                recipe="equilibrium",
                group=f"g{index // 2}",
            )
        )
    return out


def asked(engine: str, **given: object) -> LabelSettings:
    """Return the settings of the task for what a study asks of an engine."""
    return LabelSettings.of(ENGINES[engine].settings.model_validate({"engine": engine, **given}), THEORY)


def written(engine: str, **given: object) -> str:
    """Return labels.json for what a study asks of an engine."""
    return asked(engine, **given).model_dump_json()


def label(
    settings: LabelSettings, given: list[Atoms], out: str, root: Path | None = None, try_again: bool = False
) -> None:
    """Label frames on one thread, with a label store in a folder."""
    labelling.label_chunk(settings, given, out, 1, Store(root, THEORY), try_again)


def calls(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "calls").read_text().splitlines()]


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended; one that nobody waited for counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def besides_progress(said: str) -> list[str]:
    """Return the lines that were printed but those of progress, which a slow machine shows."""
    return [line for line in said.splitlines() if not line.endswith(" left")]


def stored(store: Path) -> set[str]:
    """Return the ids of the frames that a label store has."""
    return {frame_id for shard in store.glob("*/*.jsonl") for frame_id in offsets_in(shard)}


def wait_for(condition, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


COMMAND = """
import sys
from dataclasses import replace
import label_frames
from ionmelt.labels.engines import ENGINES
from faulty_engines import Faulty
ENGINES["faulty"] = replace(ENGINES["xtb"], settings=Faulty, module="faulty_engine")
if len(sys.argv) > 1:
    import signal
    signal.signal(signal.SIGTERM, label_frames.end)
    sys.exit(label_frames.main(sys.argv[1:]))
"""


def task(folder: Path, given: list[Atoms], settings: dict, **options) -> subprocess.Popen:
    """Start the task with a faulty engine, in a folder whose label store is `store` beside it."""
    (folder / "store").mkdir(exist_ok=True)
    (folder / "store" / "README.txt").touch()
    if not (folder / "label_store.txt").exists():
        (folder / "label_store.txt").symlink_to(folder / "store" / "README.txt")
    write_frames(folder / "chunk.extxyz", given)
    (folder / "labels.json").write_text(written("faulty", folder=str(folder), **settings))
    (folder / "command.py").write_text("if __name__ == '__main__':\n" + textwrap.indent(COMMAND, "    "))
    arguments = ["--id", "c", "--settings", "labels.json", "--frames", "chunk.extxyz", "--out", "out"]
    arguments += ["--store", "label_store.txt", "--spare", "spare"]
    path = os.pathsep.join([str(folder), str(BIN), str(Path(__file__).parent)])
    return subprocess.Popen(
        [sys.executable, "command.py", *arguments], cwd=folder, env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options,
    )  # fmt: skip
