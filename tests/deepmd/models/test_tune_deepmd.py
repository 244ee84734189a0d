"""TRAIN_MODEL from a checkpoint: a small DPA-2 model is fine-tuned, killed and taken up; what cannot be tuned is refused."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tiny_training as tiny

from ionmelt import frame as frame_file
from ionmelt.dataset import deepmd
from ionmelt.errors import UserError
from ionmelt.files import sha256
from ionmelt.models import tool as models_tool
from ionmelt.models import train
from ionmelt.models.calculators import load_calculator
from ionmelt.models.frameworks import deepmd_tool, deepmd_training

SCRIPT = str(Path(__file__).resolve().parents[3] / "bin" / "train_model.py")
# torch and deepmd warn of each other when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")

# The foundation model's own order of elements, and one that the tuned frames do not have.
TYPE_MAP = ["Na", "F", "Li"]
DPA2 = {
    "type": "dpa2",
    "repinit": {
        "rcut": 3.2, "rcut_smth": 0.5, "nsel": 40, "neuron": [4, 8], "axis_neuron": 4, "tebd_dim": 4, "tebd_input_mode": "strip",
        "use_three_body": False,
    },
    "repformer": {
        "rcut": 2.8, "rcut_smth": 0.5, "nsel": 30, "nlayers": 1, "g1_dim": 8, "g2_dim": 4, "axis_neuron": 2, "attn1_hidden": 4,
        "attn1_nhead": 1, "attn2_hidden": 4, "attn2_nhead": 1, "update_g1_has_attn": False, "update_g2_has_attn": False,
    },
    "seed": 1,
}  # fmt: skip
SETTINGS = tiny.DEEPMD | {
    "mode": "finetune", "weights": "dpa2.pt", "licence": "LGPL-3.0", "theory": "Lennard-Jones", "head": None, "steps": 60,
    "learning_rate": 0.002,
}  # fmt: skip


def arguments(work: Path, split: Path) -> list[str]:
    return [
        "--id", "m-eq-s1", "--settings", str(work / "settings.json"), "--dataset", str(split / "datasets" / "eq"),
        "--summary", str(split / "dataset.json"), "--out", "model",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def foundation(tmp_path_factory: pytest.TempPathFactory, split: Path) -> Path:
    """Train a small DPA-2 model on frames whose energies have another zero; returns its checkpoint."""
    work = tmp_path_factory.mktemp("foundation")
    for part, seed in (("train", 5), ("valid", 6)):
        frames = tiny.make_frames(12, seed=seed)
        for index, frame in enumerate(frames):
            frame.numbers[np.flatnonzero(frame.numbers == 3)[: index % 3]] = 11
            frame.info["REF_energy"] += 3.0 * len(frame)
        deepmd.write_deepmd(work / "deepmd" / part, frames, TYPE_MAP)
    own = {"elements": TYPE_MAP, "type_map": TYPE_MAP, "fitted_e0s_ev": dict.fromkeys(TYPE_MAP, -47.0)}
    data = tiny.training_data(split).model_copy(update=own)
    settings = tiny.training_settings(SETTINGS)
    model = deepmd_training.new_model(tiny.training_settings(tiny.DEEPMD), data, work / "deepmd") | {"descriptor": DPA2}
    tool = deepmd_training.tool_input(settings, data, work / "deepmd", work / "dpa2", model)
    (work / "input.json").write_text(json.dumps(tool))
    commands = json.dumps([["train", "input.json"]])
    env = models_tool.environment(1) | {"DEVICE": "cpu", "NUM_WORKERS": "0"}
    script, weights = deepmd_tool.__name__, json.dumps(deepmd_training.weights_of_loss(settings))
    subprocess.run(
        [sys.executable, "-P", "-m", script, "loss.json", weights, commands],
        cwd=work,
        env=env,
        check=True,
        capture_output=True,
    )
    return work / "dpa2.pt"


def settings_of(foundation: Path, **more: Any) -> dict[str, Any]:
    return SETTINGS | {"sha256": sha256(foundation)} | more


@pytest.mark.all
def test_a_dpa_model_is_tuned_and_keeps_its_elements(foundation: Path, split: Path, tmp_path: Path) -> None:
    tiny.write_settings(tmp_path / "settings.json", settings_of(foundation))
    with contextlib.chdir(tmp_path):
        assert train.main([*arguments(tmp_path, split), "--weights", str(foundation)]) == 0
    model = tmp_path / "model"
    card = json.loads((model / "model.json").read_text())
    assert list(card["files"]) == ["model.pt", "model_frozen.pth"]
    assert card["elements"] == TYPE_MAP
    assert card["cutoff_A"] == 3.2
    assert card["licence"] == "LGPL-3.0"
    assert card["tuned_from"]["sha256"] == sha256(foundation)
    # The zero of the tuned frames is 3 eV an atom lower: that goes into the reference energies, not into what was learnt.
    before, after = (deepmd_training.energies_of(path, TYPE_MAP) for path in (foundation, model / "model.pt"))
    for symbol in ("Li", "F"):
        assert after[symbol] - before[symbol] == pytest.approx(-3.0, abs=0.5)
    assert card["e0s_ev"] == after
    curve = pl.read_parquet(model / "curve.parquet").filter(pl.col("set") == "valid").sort("step")
    assert curve.filter(pl.col("quantity") == "energy_per_atom_rmse")["value"][0] < 0.3
    calculator = load_calculator(model)
    errors = []
    for atoms in frame_file.read_frames(split / "test.extxyz", labelled=True):
        atoms.calc = calculator
        errors.append((atoms.get_potential_energy() - atoms.info["REF_energy"]) / len(atoms))
    assert np.sqrt(np.mean(np.square(errors))) < 0.3


@pytest.mark.all
def test_a_killed_tuning_goes_on_from_its_checkpoint(foundation: Path, split: Path, tmp_path: Path) -> None:
    tiny.write_settings(tmp_path / "settings.json", settings_of(foundation, steps=400))
    kept = tmp_path / "kept"
    kept.mkdir()
    command = [
        sys.executable, SCRIPT, *arguments(tmp_path, split), "--weights", str(foundation), "--checkpoints", str(kept),
    ]  # fmt: skip
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.DEVNULL)
    while not list(kept.glob("*/model.ckpt-160.pt")):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = subprocess.run(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True, check=True)
    steps = [int(line.split("Batch")[1].split(":")[0]) for line in done.stderr.splitlines() if " val: rmse" in line]
    assert steps[0] >= 120
    assert steps[-1] == 400
    curve = pl.read_parquet(tmp_path / "model" / "curve.parquet")
    written = curve.filter(pl.col("quantity") == "loss", pl.col("set") == "valid")["step"].to_list()
    assert written == sorted(set(written))
    assert written[0] <= 10
    assert not list(kept.iterdir())


@pytest.mark.all
def test_what_cannot_be_tuned_is_refused_with_one_line(
    foundation: Path, split: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(line: str, weights: Path, **more: Any) -> None:
        tiny.write_settings(tmp_path / "settings.json", settings_of(weights, **more))
        with contextlib.chdir(tmp_path):
            assert train.main([*arguments(tmp_path, split), "--weights", str(weights)]) == 2
        (said,) = capsys.readouterr().err.strip().splitlines()
        assert line in said
        assert not (tmp_path / "model").exists()

    frozen = tmp_path / "model_frozen.pth"
    frozen.write_bytes(b"frozen")
    refused("weights: model_frozen.pth: is a frozen model, which cannot be fine-tuned", frozen)
    pickle = tmp_path / "boom.pt"
    pickle.write_bytes(b"cposix\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    refused("weights: boom.pt: sha256 is", pickle, sha256="0" * 64)
    refused("weights: boom.pt: is no checkpoint of DeePMD's PyTorch backend", pickle)
    assert not (tmp_path / "ran").exists()
    refused("head: 'dft': dpa2.pt has one", foundation, head="dft")
    with pytest.raises(UserError, match="does not know K; it knows Na, F, Li"):
        deepmd_training.read_foundation(foundation, "m", None, ["F", "K"])
