"""LABEL_FRAMES: one bad frame costs one frame, whatever it does to the engine."""

import itertools
import json
import os
import re
import resource
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pytest
from ase import Atoms

from ionmelt import errors
from ionmelt.frame import Label, frame_id, make_frame, read_frames, theory_id, theory_settings, write_frames
from ionmelt.labels import chain, labelling, progress, worker
from ionmelt.labels.engines import ENGINES
from ionmelt.labels.engines.settings import LabelTasks
from ionmelt.labels.settings import LabelSettings
from ionmelt.labels.store import Answer, Store
from ionmelt.settings import Count, Path_, Real
from ionmelt.tables.labels import LABELLED

BIN = Path(__file__).resolve().parents[3] / "bin"
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
        self.folder = Path(settings.get("folder", "."))
        self.pace_s = settings.get("pace_s", 0)

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
REASONS = [
    None, "engine_crashed", "engine_error", "non_finite", "scf_not_converged",
    "non_finite", "force_too_large", "net_force", None, None, "engine_killed", "disk_full", "engine_timeout", None,
]  # fmt: skip

# An engine with two self-consistent states: from frame `flips` on, a start from the frame before ends in the other one.
TWO_STATES_ENGINE = """
import numpy as np
from ionmelt.frame import Label

class Engine:
    version = "two states 1"

    def __init__(self, settings, threads):
        self.other, self.flips, self.size = None, settings["flips"], settings["size"]

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


@pytest.fixture
def faulty(tmp_path, monkeypatch) -> str:
    (tmp_path / "faulty_engine.py").write_text(FAULTY_ENGINE)
    (tmp_path / "two_states_engine.py").write_text(TWO_STATES_ENGINE)
    monkeypatch.syspath_prepend(tmp_path)
    for name, section in (("faulty", Faulty), ("two_states", TwoStates)):
        row = replace(ENGINES["xtb"], settings=section, module=f"{name}_engine")
        monkeypatch.setitem(ENGINES, name, row)
    monkeypatch.chdir(tmp_path)
    return str(tmp_path / "out")


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
    return [line for line in said.splitlines() if not line.endswith(" min left")]


def wait_for(condition, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


@pytest.mark.parametrize(("frame", "error"), [(10, MemoryError), (11, errors.DiskFullError)])
def test_what_the_machine_is_to_blame_for_may_be_tried_again(faulty, frame, error):
    given = frames(14, move=0)
    given = [given[0], given[frame], given[13]]
    settings = asked("faulty")
    with pytest.raises(error, match="in the label store"):
        label(settings, given, faulty, Path(), try_again=True)
    assert not Path(f"{faulty}.labels.parquet").exists()
    assert len(list(Path().glob("*/*/*.json"))) == 2, "the others are finished"


def test_every_fault_costs_one_row(faulty):
    given = frames(14, move=0)
    settings = asked("faulty", max_frame_s=1.5)
    label(settings, given, faulty, Path())
    table = pl.read_parquet(f"{faulty}.labels.parquet")
    assert table["reason"].to_list() == REASONS
    assert table["converged"].to_list() == [reason is None for reason in REASONS]
    assert table["frame_id"].to_list() == [atoms.info["frame_id"] for atoms in given]
    assert table["n_atoms"].to_list() == [6] * 14
    assert not table["from_store"].any()
    assert table["engine_version"].unique().to_list() == ["faulty 1"]
    assert table.schema == pl.Schema(LABELLED)
    kept = read_frames(f"{faulty}.labelled.extxyz", labelled=True)
    assert [atoms.info["frame_id"] for atoms in kept] == [given[i].info["frame_id"] for i in (0, 8, 9, 13)]
    assert kept[0].info["scf_steps"] == 3
    assert {path.stem for path in Path().glob("*/*/*.json")} == {atoms.info["frame_id"] for atoms in kept}
    wait_for(lambda: is_gone(int(Path("pid").read_text())))  # the program of the engine that hung


def test_a_chunk_that_fails_whole_still_has_both_files(faulty):
    label(asked("faulty"), [frames(3)[2]], faulty)
    assert read_frames(f"{faulty}.labelled.extxyz", may_be_empty=True) == []
    assert pl.read_parquet(f"{faulty}.labels.parquet")["reason"].to_list() == ["engine_error"]


def test_overlap_never_reaches_the_engine(faulty):
    atoms = frames(9)[1]  # would crash the engine
    atoms.positions[2] = atoms.positions[3] + 0.1
    label(asked("faulty"), [atoms], faulty)
    table = pl.read_parquet(f"{faulty}.labels.parquet")
    assert table["reason"].to_list() == ["overlap"]
    assert table["engine_version"].to_list() == [None]


# --- The order -----------------------------------------------------------------------------------------------


def distance(one: Atoms, two: Atoms, cell: np.ndarray) -> float:
    """Return the distance of two frames by its definition, one atom and one image at a time."""
    total = 0.0
    for a, b in zip(one.positions @ np.linalg.inv(one.cell), two.positions @ np.linalg.inv(two.cell), strict=True):
        images = itertools.product((-2, -1, 0, 1, 2), repeat=3)
        total += min((np.linalg.norm((a - b + np.array(image)) @ cell) ** 2, image) for image in images)[0]
    return total / len(one) + np.sum((one.cell.array - two.cell.array) ** 2) / 3


def shuffled(count: int, seed: int) -> list[Atoms]:
    """A slow walk, cut into frames, some a lattice vector away, and shuffled."""
    rng = np.random.default_rng(seed)
    numbers = np.array([3, 5, 9, 9])
    walk = np.cumsum(rng.normal(scale=0.2, size=(count, 4, 3)), axis=0) + rng.uniform(0, 6, size=(4, 3))
    edges = 6 + np.cumsum(rng.normal(scale=0.05, size=count))
    out = [Atoms(numbers, x, cell=[edge, 6.5, 7], pbc=True) for x, edge in zip(walk, edges, strict=True)]
    for atoms in out:
        atoms.positions += rng.integers(-1, 2, size=(4, 1)) @ atoms.cell.array[:1]
    return [out[i] for i in rng.permutation(count)]


@pytest.mark.parametrize("seed", range(3))
def test_each_frame_follows_its_nearest_neighbour(seed):
    given = shuffled(12, seed)
    cell = np.mean([atoms.cell.array for atoms in given], axis=0)
    order = chain.chain_order(given)
    assert sorted(order) == list(range(12))
    assert order[0] == 0
    for place in range(1, 12):
        left = order[place:]
        here = given[order[place - 1]]
        assert distance(given[order[place]], here, cell) == pytest.approx(
            min(distance(given[i], here, cell) for i in left)
        )


def test_the_path_is_shorter_than_the_chunk_and_keeps_compositions_together():
    given = shuffled(60, 1)
    order = chain.chain_order(given)
    assert order == chain.chain_order(given)
    cell = given[0].cell.array

    def length(path: list[int]) -> float:
        return sum(distance(given[a], given[b], cell) ** 0.5 for a, b in itertools.pairwise(path))

    assert length(order) < 0.5 * length(list(range(60)))
    other = [atoms[[1, 0, 2, 3]] for atoms in shuffled(5, 2)]
    mixed = [atoms for pair in zip(given[:5], other, strict=True) for atoms in pair]
    assert [index % 2 for index in chain.chain_order(mixed)] == [0] * 5 + [1] * 5
    assert chain.chain_order([]) == []


def test_a_window_bounds_the_search(monkeypatch):
    monkeypatch.setattr(chain, "WINDOW", 5)
    order = chain.chain_order(shuffled(40, 3))
    assert sorted(order) == list(range(40))
    assert max(index - place for place, index in enumerate(order)) <= 5


def test_files_keep_the_order_of_the_chunk(faulty):
    given = [frames(60)[i] for i in (20, 27, 21, 26, 22, 25)]
    label(asked("faulty"), given, faulty)
    assert calls(Path()) == [20, 21, 22, 25, 26, 27]
    ids = [atoms.info["frame_id"] for atoms in given]
    assert [atoms.info["frame_id"] for atoms in read_frames(f"{faulty}.labelled.extxyz", labelled=True)] == ids
    assert pl.read_parquet(f"{faulty}.labels.parquet")["frame_id"].to_list() == ids


# --- The guess -----------------------------------------------------------------------------------------------


def two_states(faulty: str, monkeypatch, checked: set[int], flips: int = 4, size: float = 0.006) -> pl.DataFrame:
    given = frames(10, move=0)
    ids = [given[number].info["frame_id"] for number in checked]
    monkeypatch.setattr(chain, "is_spot_check", lambda atoms, _fraction: atoms.info["frame_id"] in ids)
    settings = asked("two_states", flips=flips, size=size)
    label(settings, given, faulty, Path())
    table = pl.read_parquet(f"{faulty}.labels.parquet")
    kept = table.filter(pl.col("converged"))["frame_id"].to_list()
    assert [atoms.info["frame_id"] for atoms in read_frames(f"{faulty}.labelled.extxyz")] == kept
    assert sorted(path.stem for path in Path().glob("*/*/*.json")) == sorted(kept), "what is wrong is taken back"
    return table


def test_a_label_that_depends_on_its_guess_is_none_and_the_chain_is_cut(faulty, monkeypatch, capsys):
    """Frames 4 to 7 are in the other state and 7 is checked: they go, 3 agrees, and 8 starts cold."""
    table = two_states(faulty, monkeypatch, {2, 7})
    assert table["reason"].to_list() == [None] * 4 + ["guess_dependent"] * 4 + [None] * 2
    assert table["guess"].to_list() == ["cold"] + ["chained"] * 7 + ["cold", "chained"]
    difference = [None, None, 0.0, 0.0, 0.006, 0.006, 0.006, 0.006, None, None]
    assert table["cold_max_force_difference_ev_a"].to_list() == pytest.approx(difference)
    assert table["cold_energy_difference_ev"][7] == -1
    assert table.filter(pl.col("converged"))["energy_ev"].to_list() == [0.0] * 6
    assert "no label: guess_dependent" in capsys.readouterr().err


@pytest.mark.parametrize(("size", "reason"), [(0.0051, None), (0.0052, "guess_dependent")])
def test_the_tolerance_is_a_ten_thousandth_of_hartree_per_bohr(size, reason):
    label = Label(-1.0, np.array([[size, 0, 0], [-size, 0, 0]]), np.zeros((3, 3)), True, guess="chained")
    cold = Label(-1.0, np.zeros((2, 3)), np.zeros((3, 3)), True, guess="cold")
    found = chain.compared(Answer(label, 1.0, "x"), cold)
    assert found.label.reason == reason
    assert found.cold_max_force_difference_ev_a == size
    assert chain.compared(Answer(label, 1.0, "x"), worker.failed("scf_not_converged")).label is label


def test_the_share_of_spot_checks_is_as_asked():
    found = [make_frame([3], [[0, 0, i / 1000]], [9, 9, 9], [0], ["li"]) for i in range(4000)]
    for fraction in (0, 0.02, 1):
        share = np.mean([chain.is_spot_check(atoms, fraction) for atoms in found])
        assert share == pytest.approx(fraction, abs=0.01)


# --- The store, and faults of the whole task -----------------------------------------------------------------


def test_a_second_run_labels_nothing_and_gives_the_same_bytes(faulty, capsys):
    settings = asked("faulty")
    label(settings, frames(40)[20:30], "one", Path())
    assert len(calls(Path())) == 10
    label(settings, frames(40)[20:30], "two", Path())
    assert len(calls(Path())) == 10
    assert Path("one.labelled.extxyz").read_bytes() == Path("two.labelled.extxyz").read_bytes()
    one, two = (pl.read_parquet(f"{name}.labels.parquet") for name in ("one", "two"))
    assert two["from_store"].all()
    assert one.drop("from_store").equals(two.drop("from_store"))
    assert capsys.readouterr().err == ""
    damaged = sorted(Path().glob("*/*/*.json"))[3]
    damaged.write_bytes(damaged.read_bytes()[:-50])
    label(settings, frames(40)[18:30], "three", Path())
    assert len(calls(Path())) == 13, "that one, and two new ones"
    assert capsys.readouterr().err.splitlines() == [
        f"label store: {damaged}: it is cut off or altered; the frame is labelled again"
    ]
    three = pl.read_parquet("three.labels.parquet")
    assert set(three.filter(~pl.col("from_store"))["frame_id"]) >= {damaged.stem}
    label(settings, frames(40)[18:30], "four", Path())
    assert pl.read_parquet("four.labels.parquet")["from_store"].all()


COMMAND = """
import sys
from dataclasses import replace
import label_frames
from ionmelt.labels.engines import ENGINES
from test_label_frames import Faulty
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


def test_a_task_that_is_killed_loses_the_frame_in_flight(faulty, tmp_path):
    given = frames(32)[20:]
    running = task(tmp_path, given, {"pace_s": 0.3})
    store = tmp_path / "store"
    wait_for(lambda: len(list(store.glob("*/*/*.json"))) >= 3)
    running.kill()
    running.communicate()
    finished = {path.stem for path in store.glob("*/*/*.json")}
    begun = len(calls(tmp_path))
    assert 3 <= len(finished) <= begun <= len(finished) + 1
    time.sleep(1.0)
    assert len(calls(tmp_path)) == begun, "its engine goes with it"
    again = task(tmp_path, given, {})
    said, _ = again.communicate(timeout=600)
    assert (again.returncode, besides_progress(said)) == (0, [])
    assert len(calls(tmp_path)) == begun + 12 - len(finished)
    table = pl.read_parquet(tmp_path / "out.labels.parquet")
    assert set(table.filter(pl.col("from_store"))["frame_id"]) == finished
    assert table["converged"].all()
    assert len(read_frames(tmp_path / "out.labelled.extxyz", labelled=True)) == 12


def test_a_task_that_is_told_to_end_ends_its_engine_too(faulty, tmp_path):
    running = task(tmp_path, frames(13)[12:], {})
    wait_for((tmp_path / "pid").exists)
    wait_for(lambda: (tmp_path / "pid").read_text())
    running.terminate()
    running.communicate(timeout=300)
    assert running.returncode == 143
    wait_for(lambda: is_gone(int((tmp_path / "pid").read_text())))


def test_a_disk_too_full_for_the_results_is_one_line_and_another_try(faulty, tmp_path):
    """What was finished is in the store (its entries still fit), so that the next try is short."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    given = frames(40)[20:]
    (tmp_path / "label_store.txt").symlink_to(tmp_path / "store" / "README.txt")
    running = task(tmp_path, given, {}, preexec_fn=limit)
    said, _ = running.communicate(timeout=600)
    assert running.returncode == errors.Exit.DISK
    assert besides_progress(said) == ["error: disk_full: c: OSError: [Errno 27] File too large"]
    again = task(tmp_path, given, {})
    assert besides_progress(again.communicate(timeout=600)[0]) == []
    assert pl.read_parquet(tmp_path / "out.labels.parquet")["from_store"].all()


def test_a_store_that_is_a_copy_is_left_and_new_labels_lie_aside(faulty, tmp_path):
    (tmp_path / "label_store.txt").write_text("staged by copying")
    running = task(tmp_path, frames(22)[20:], {})
    assert besides_progress(running.communicate(timeout=600)[0]) == []
    assert list((tmp_path / "store").glob("*/*/*.json")) == []
    assert len(list((tmp_path / "spare").glob("*/*/*.json"))) == 2


def test_long_work_says_how_far_it_is(faulty, monkeypatch, capsys):
    monkeypatch.setattr(progress, "PROGRESS_S", 0.0)
    label(asked("faulty"), frames(22)[20:], faulty)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert re.fullmatch(r"1 of 2 frames, 0 without a label, \S+ s each, 0\.\d min left", lines[0])


def test_a_frame_that_does_not_converge_costs_itself(tmp_path):
    """A lithium ion in the middle of nowhere beside an anion that is torn apart, and few iterations."""
    given = frames(3)
    given[1].positions[2] += [1.3, 1.3, 1.3]
    given[1].info["frame_id"] = frame_id(given[1])
    label(asked(**SETTINGS | {"max_iterations": 12, "spot_check_fraction": 0}), given, str(tmp_path / "o"), tmp_path)
    table = pl.read_parquet(tmp_path / "o.labels.parquet")
    assert table["reason"].to_list() == [None, "scf_not_converged", None]
    assert table["energy_ev"].is_null().to_list() == [False, True, False]
    assert table["scf_steps"][1] >= 2 * 12, "the whole ladder was tried"
    kept = read_frames(tmp_path / "o.labelled.extxyz", labelled=True)
    assert [atoms.info["frame_id"] for atoms in kept] == [given[i].info["frame_id"] for i in (0, 2)]


def test_xtb_labels_by_the_command_line(tmp_path):
    """Twice the same bytes; kept values are the engine's; the theory does not see how work is cut."""
    write_frames(tmp_path / "chunk.extxyz", frames(3))
    (tmp_path / "labels.json").write_text(written(**SETTINGS))
    script = BIN / "label_frames.py"
    for out in ("a", "b"):
        command = [sys.executable, str(script), "--id", "libf4-000", "--settings", "labels.json"]
        command += ["--frames", "chunk.extxyz", "--out", out]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert besides_progress(done.stdout + done.stderr) == []
    assert (tmp_path / "a.labelled.extxyz").read_bytes() == (tmp_path / "b.labelled.extxyz").read_bytes()
    kept = read_frames(tmp_path / "a.labelled.extxyz", labelled=True)
    table = pl.read_parquet(tmp_path / "a.labels.parquet")
    assert table["energy_ev"].to_list() == [atoms.info["REF_energy"] for atoms in kept]
    assert table["scf_steps"].to_list() == [atoms.info["scf_steps"] for atoms in kept]
    assert table["group"].to_list() == ["g0", "g0", "g1"]
    assert {atoms.info["theory_id"] for atoms in kept} == {THEORY}
    assert theory_id(theory_settings(SETTINGS)) == theory_id(theory_settings(SETTINGS | {"chunk": 3}))
    assert theory_id(theory_settings(SETTINGS)) != theory_id(theory_settings(SETTINGS | {"accuracy": 1.0}))
    record = json.loads((tmp_path / "LABEL_FRAMES.libf4-000.task.json").read_text())
    assert (record["process"], record["id"]) == ("LABEL_FRAMES", "libf4-000")


def test_an_ion_alone_is_labelled_with_its_charge_beside_the_liquid(tmp_path):
    """Its label survives the file, its sum of forces is zero, and removing a lithium costs energy: it is no neutral atom."""
    (pair,) = frames(1)
    ions = [
        make_frame(pair.numbers[part], pair.positions[part] + 4, np.array([14.0] * 3), np.zeros(len(pair[part]), int),
                   pair.arrays["ion"][part], liquid="libf4", kind="neq", recipe="ions", group="g0", charge=charge)
        for part, charge in ((slice(0, 1), 1), (slice(1, 6), -1))
    ]  # fmt: skip
    write_frames(tmp_path / "chunk.extxyz", [pair, *ions])
    given = read_frames(tmp_path / "chunk.extxyz")
    label(asked(**SETTINGS), given, str(tmp_path / "o"), tmp_path)
    kept = read_frames(tmp_path / "o.labelled.extxyz", labelled=True)
    assert [frame.info.get("charge") for frame in kept] == [None, 1, -1]
    assert all(frame.pbc.all() for frame in kept)
    whole, lithium, anion = (frame.info["REF_energy"] for frame in kept)
    assert 3 < lithium + anion - whole < 15  # the pair holds together by about so many eV
    assert np.abs(kept[2].arrays["REF_forces"].sum(axis=0)).max() < 1e-3


def test_the_theory_of_the_plan_is_kept(faulty):
    label(asked("faulty"), frames(1), faulty)
    assert pl.read_parquet(f"{faulty}.labels.parquet")["theory_id"].to_list() == ["0123456789ab"]
    assert read_frames(f"{faulty}.labelled.extxyz")[0].info["theory_id"] == "0123456789ab"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"engine": "gaussian"}, "error: labels.json: engine: 'gaussian' is not known"),
        ({"method": "GFN7"}, "error: labels.json: method: 'GFN7'"),
        ({"max_frames": 3}, "error: labels.json: max_frames: unknown"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, change, message, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_frames("chunk.extxyz", frames(1))
    Path("labels.json").write_text(json.dumps(json.loads(written(**SETTINGS)) | change))
    arguments = ["--id", "x", "--settings", "labels.json", "--frames", "chunk.extxyz", "--out", "o"]
    assert labelling.main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(message)


def test_another_device_is_for_engines_that_have_a_choice_of_one():
    pyscf = asked("pyscf", theory="PBE-D3(BJ)", device="auto")
    assert pyscf.on("cuda").model_dump() == pyscf.model_dump() | {"device": "cuda"}
    assert asked(**SETTINGS).on("cuda") == asked(**SETTINGS)


def test_an_engine_that_cannot_be_loaded_is_one_line(tmp_path, monkeypatch):
    row = replace(ENGINES["xtb"], settings=Absent, module="no_such_module_at_all")
    monkeypatch.setitem(ENGINES, "absent", row)
    with pytest.raises(errors.UserError, match="cannot be loaded here"):
        label(asked("absent"), frames(1), str(tmp_path / "o"))


@pytest.mark.parametrize(
    ("loading", "error"),
    [  # libraries raise an ImportError where a part of theirs cannot be loaded, whatever the cause
        ("try:\n    raise MemoryError\nexcept MemoryError:\n    raise ImportError('no room')\n", MemoryError),
        ("class Engine:\n    def __init__(self, *_):\n        raise MemoryError('no room')\n", MemoryError),
        ("raise OSError(28, 'no room')\n", errors.DiskFullError),
    ],
)
def test_an_engine_that_lacks_the_memory_to_be_loaded_asks_for_more(faulty, tmp_path, loading, error):
    (tmp_path / "two_states_engine.py").write_text(loading)
    with pytest.raises(error, match="no room"):
        label(asked("two_states"), frames(1), str(tmp_path / "o"))


def test_checked_keeps_an_engines_own_reason():
    label = Label(None, None, None, False, reason="overlap")
    assert worker.checked(label, 3).reason == "overlap"
