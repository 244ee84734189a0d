"""IMPORT_MODEL with MACE weights: what is refused before it runs, and that a model is the same afterwards."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import tiny_training as tiny
import torch
from ase import Atoms
from printed_lines import energy_ev
from tiny_imports import do_import

from ionmelt.dynamics import run as run_module
from ionmelt.dynamics.engines.choice import load_engine
from ionmelt.dynamics.settings import RunSettings
from ionmelt.files import sha256
from ionmelt.models import export, train, trial
from ionmelt.models import weights as models_weights
from ionmelt.models.calculators import load_calculator

# torch, e3nn and mace warn of each other when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")

MACE = {"framework": "mace"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a MACE model of Li and F."""
    split = tiny.make_dataset(tmp_path_factory.mktemp("data"), ions=True)
    return tiny.trained_once(train, tiny.MACE, split, tmp_path_factory.mktemp("train")) / "model.pt"


@pytest.fixture(scope="module")
def imported(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    code, errors, model = do_import(tmp_path_factory.mktemp("import"), weights, confined=True, **MACE)
    assert (code, errors) == (0, [])
    return model


def test_an_imported_model_is_the_one_that_was_trained(weights: Path, imported: Path) -> None:
    card = json.loads((imported / "model.json").read_text())
    assert card["files"] == {"model.pt": sha256(weights)}
    assert (card["elements"], card["cutoff_A"], card["heads"]) == (["Li", "F"], 3.0, ["Default"])
    assert card["theory"] == "PBE"
    assert card["trial"]["conservative"]
    assert card["opened"]["confined"] == (card["opened"]["why_not"] is None)
    assert max(card["trial"]["force_off"], card["trial"]["stress_off"]) < 1e-3
    frame = tiny.make_frames(1)[0]
    forces = []
    for model in (imported, weights.parent):
        atoms = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=True)
        atoms.calc = load_calculator(model, double=True)
        forces.append(atoms.get_forces())
    assert np.array_equal(*forces)


def test_it_runs_dynamics(imported: Path, tmp_path: Path) -> None:
    state = tiny.make_state(tmp_path / "state")
    run = run_module.Run(RunSettings.model_validate(tiny.RUN), state, tmp_path / "run")
    run_module.run_md([run], imported, 1)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["survived_ps"] > 0


class Touch:
    """A pickle with a side effect."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.system, (f"touch '{self.path}'",)


class Traced:
    """A pickle with a side effect that is hidden in the source of a traced function."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        source = f"\nopen({str(self.path)!r}, 'w')\ndef forward(self, x):\n    return x\n"
        return torch.fx.graph_module.reduce_graph_module, ({"_code": source}, "import torch\n")


def with_hook(weights: Path, path: Path) -> Any:
    """Return a MACE model with something else hung onto it."""
    model = models_weights.read_mace(weights)
    model.extra = Touch(path)
    return model


@pytest.mark.parametrize("kind", ["bare", "traced", "inside a model", "plain pickle"])
def test_a_pickle_with_a_side_effect_is_refused_and_does_not_run(kind: str, weights: Path, tmp_path: Path) -> None:
    trace, bad = tmp_path / "it_ran", tmp_path / "bad.model"
    if kind == "plain pickle":
        bad.write_bytes(pickle.dumps(Touch(trace)))
    else:
        made = {"bare": Touch, "traced": Traced, "inside a model": lambda path: with_hook(weights, path)}[kind]
        torch.save(made(trace), bad)
    code, errors, model = do_import(tmp_path / "import", bad, **MACE)
    assert code == 2
    assert len(errors) == 1
    assert errors[0].startswith("models: own: weights: bad.model ")
    if kind in ("bare", "inside a model"):
        assert "it would call posix.system" in errors[0]
    assert not trace.exists()
    assert not model.exists()
    # the same file does run when it is opened as MACE opens files
    if kind == "bare":
        torch.load(bad, weights_only=False)
        assert trace.exists()


def test_a_lack_of_memory_is_no_fault_of_the_weights(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def boom(*_arguments: Any, **_named: Any) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(torch, "load", boom)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        models_weights.read_mace(weights)


def for_lammps(path: Path) -> None:
    """Leave what MACE's own tool makes of a model for pair_style mace in the place of the model."""
    command = [sys.executable, "-m", "mace.cli.create_lammps_model", path.name, "--head", "Default"]
    subprocess.run(command, cwd=path.parent, check=True, capture_output=True)
    path.with_name(f"{path.name}-lammps.pt").replace(path)


def of_dipoles(path: Path) -> None:
    """A model of dipoles alone, as mace_run_train makes one."""
    from mace import modules
    from mace.modules.blocks import o3

    block = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    model = modules.AtomicDipolesMACE(
        r_max=3.0, num_bessel=3, num_polynomial_cutoff=5, max_ell=1, interaction_cls=block, interaction_cls_first=block,
        num_interactions=1, num_elements=2, hidden_irreps=o3.Irreps("2x0e + 2x1o"), MLP_irreps=o3.Irreps("2x0e + 2x1o"),
        atomic_energies=None, avg_num_neighbors=6.0, atomic_numbers=[3, 9], gate=torch.nn.functional.silu, correlation=1, radial_MLP=[4],
    )  # fmt: skip
    torch.save(model, path)


def checkpoint(path: Path) -> None:
    """What MACE writes of a training that goes on (its tools/checkpoint.py)."""
    from mace.tools.checkpoint import CheckpointHandler, CheckpointState

    model = models_weights.read_mace(path)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    sum(p.sum() for p in model.parameters()).backward()
    optimizer.step()
    state = CheckpointState(model, optimizer, torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9))
    CheckpointHandler(directory=str(path.parent), tag="run").save(state, epochs=3)
    next(path.parent.glob("run_epoch-3.pt")).replace(path)


@pytest.mark.parametrize(
    ("spoil", "settings", "words"),
    [
        (lambda path: path.write_text("no model"), {}, "bad.model is no MACE model: it is not a file that torch.save wrote"),
        (lambda path: torch.save({"a": 1}, path), {}, "bad.model is no MACE model: it holds a dict"),
        (lambda path: torch.save(torch.nn.Linear(2, 2), path), {}, "bad.model is no MACE model: it holds a Linear"),
        (for_lammps, {}, "bad.model is the form that LAMMPS loads: give the .model file that it was made of"),
        (of_dipoles, {}, "bad.model is a model of dipoles, which has no energy"),
        (checkpoint, {}, "bad.model is no MACE model: it holds a dict; give the .model file, not a checkpoint"),
        (None, {"sha256": 64 * "0"}, "the study says 0000"),
        (None, {"liquid_elements": ["B", "F", "Li"]}, "the model does not know B, which the liquids hold; it knows Li, F"),
        (None, {"head": "omat"}, "head: 'omat' is none of the heads of bad.model: give one of Default"),
    ],
    ids=["text", "dict", "another module", "of LAMMPS", "dipoles", "checkpoint", "sha256", "elements", "head"],
)  # fmt: skip
def test_what_cannot_be_used_is_one_line(
    spoil: Callable[[Path], Any] | None, settings: dict[str, Any], words: str, weights: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.model"
    bad.write_bytes(weights.read_bytes())
    if spoil:
        spoil(bad)
    code, errors, model = do_import(tmp_path / "import", bad, **MACE, **settings)
    assert code == 2
    assert len(errors) == 1
    assert words in errors[0]
    assert not model.exists()


def test_a_wrong_hash_is_refused_before_the_file_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "bad.model"
    torch.save(Touch(tmp_path / "it_ran"), bad)
    monkeypatch.setattr(trial, "ask", lambda *_: pytest.fail("it was opened"))
    code, errors, _ = do_import(tmp_path / "import", bad, **MACE, sha256=64 * "0")
    assert code == 2
    assert "it was not opened" in errors[0]


def test_added_dispersion_is_a_sum_under_every_engine(weights: Path, imported: Path, tmp_path: Path) -> None:
    """D3 is the same whatever computes the model, and its forces and stress are derivatives."""
    added = {"functional": "PBE", "cutoff_A": 12.0}
    bare = imported
    code, _, model = do_import(tmp_path / "d3", weights, **MACE, dispersion=added)
    assert code == 0
    card = json.loads((model / "model.json").read_text())
    assert card["theory"] == "PBE-D3(BJ)"
    state = tiny.make_state(tmp_path / "state")
    atoms = run_module.Run(RunSettings.model_validate(tiny.RUN), state, tmp_path).atoms()
    atoms.calc = load_calculator(model, double=True)
    stress = atoms.get_stress(voigt=False)
    for i, j in ((0, 0), (1, 2)):
        assert stress[i, j] * atoms.get_volume() == pytest.approx(tiny.strain_derivative(atoms, i, j, 1e-4), abs=2e-5)
    alone = atoms.copy()
    alone.calc = load_calculator(bare, double=True)
    dispersion = atoms.get_potential_energy() - alone.get_potential_energy()
    assert dispersion < -0.01
    for wanted in ("plain", "fused", "direct"):
        ends = []
        for folder in (model, bare):
            engine, _ = load_engine(folder, state, 1, atoms, wanted)
            ends.append(engine.compute([(atoms.positions, atoms.cell.array)], [0])[0])
        assert ends[0].energy - ends[1].energy == pytest.approx(dispersion, abs=1e-5)
        np.testing.assert_allclose(ends[0].forces, atoms.get_forces(), atol=1e-4)
        np.testing.assert_allclose(ends[0].stress, atoms.get_stress(), atol=1e-5)


@pytest.mark.all
@pytest.mark.parametrize("dispersion", [None, {"functional": "PBE", "cutoff_A": 12.0}], ids=["bare", "with D3"])
def test_the_exported_lines_run_and_lammps_has_the_same_model(
    dispersion: dict[str, Any] | None,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, _, model = do_import(tmp_path, weights, **MACE, dtype="float64", dispersion=dispersion)
    assert code == 0
    monkeypatch.chdir(tmp_path)
    state = tiny.make_state(tmp_path / "state")
    assert export.main(["--id", "own", "--model", str(model), "--out", "out", "--state", str(state)]) == 0
    page = Path("out/README.md").read_text()
    assert "pair_coeff * * model.pt-lammps.pt F Li\n" in page
    said = energy_ev(tmp_path / "out")
    atoms = ase.io.read(state / "start.extxyz")
    assert isinstance(atoms, Atoms)
    atoms.calc = load_calculator(model, double=True)
    assert said == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    if dispersion is None:
        # as pair_style mace calls it
        script = torch.jit.load(tmp_path / "out" / "model.pt-lammps.pt")
        batch = atoms.calc._atoms_to_batch(atoms).to_dict()
        batch = {key: value for key, value in batch.items() if isinstance(value, torch.Tensor)}
        out = script(batch, torch.ones(len(atoms), dtype=torch.float64), compute_virials=False)
        assert float(out["total_energy_local"]) == pytest.approx(said, abs=1e-9)
        np.testing.assert_allclose(out["forces"].numpy(), atoms.get_forces(), atol=1e-9)
