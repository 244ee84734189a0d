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

from ionmelt import frame_file
from ionmelt.dataset import deepmd
from ionmelt.errors import UserError
from ionmelt.files import sha256
from ionmelt.models import tool as models_tool
from ionmelt.models import train
from ionmelt.models.calculators import load_calculator
from ionmelt.models.frameworks import deepmd_net, deepmd_tool, deepmd_training

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


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def foundation(tmp_path_factory: pytest.TempPathFactory, split: Path) -> Path:
    """Train a small DPA-2 model on frames whose energies have another zero; returns its checkpoint."""
    work = tmp_path_factory.mktemp("foundation")
    for subset, seed in (("train", 5), ("valid", 6)):
        frames = tiny.make_frames(12, seed=seed)
        for index, frame in enumerate(frames):
            frame.numbers[np.flatnonzero(frame.numbers == 3)[: index % 3]] = 11
            frame.info["REF_energy"] += 3.0 * len(frame)
        deepmd.write_deepmd(work / "deepmd" / subset, frames, TYPE_MAP)
    facts = {"elements": TYPE_MAP, "type_map": TYPE_MAP, "fitted_e0s_ev": dict.fromkeys(TYPE_MAP, -47.0)}
    data = tiny.training_data(split).model_copy(update=facts)
    settings = tiny.training_settings(SETTINGS)
    plain = deepmd_net.new_model(tiny.training_settings(tiny.DEEPMD), data, work / "deepmd")
    net = plain.model_copy(update={"descriptor": deepmd_net.Descriptor.model_validate(DPA2)})
    tool = deepmd_training.tool_input(settings, net, work / "deepmd", work / "dpa2")
    (work / "input.json").write_text(json.dumps(tool))
    commands = json.dumps([["train", "input.json"]])
    env = models_tool.environment(1) | {"DEVICE": "cpu", "NUM_WORKERS": "0"}
    script, weights = deepmd_tool.__name__, json.dumps(deepmd_training.weights_of_loss(settings))
    subprocess.run(
        [sys.executable, "-P", "-m", script, "loss.json", weights, "1", commands],
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
        assert train.main([*tiny.arguments(tmp_path, split), "--weights", str(foundation)]) == 0
    model = tmp_path / "model"
    card = json.loads((model / "model.json").read_text())
    assert list(card["files"]) == ["model.pt", "model_frozen.pth"]
    assert card["elements"] == TYPE_MAP
    assert card["cutoff_A"] == 3.2
    assert card["licence"] == "LGPL-3.0"
    assert card["tuned_from"]["sha256"] == sha256(foundation)
    assert (card["uses_charge"], card["uses_spin"]) == (False, False)
    # The zero of the tuned frames is 3 eV an atom lower: that goes into the reference energies, not into what was learnt.
    before, after = (deepmd_net.energies_of(path, TYPE_MAP) for path in (foundation, model / "model.pt"))
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


def weights_of(model: Path) -> dict[str, np.ndarray]:
    """Return the numbers of a checkpoint, by name."""
    import torch

    held = torch.load(model / "model.pt", weights_only=True, map_location="cpu")["model"]
    return {name: value.numpy() for name, value in held.items() if isinstance(value, torch.Tensor)}


@pytest.mark.all
@pytest.mark.parametrize("is_tuned", [True, False], ids=["tuned", "from nothing"])
def test_a_killed_training_ends_with_the_same_numbers(
    is_tuned: bool, foundation: Path, split: Path, tmp_path: Path
) -> None:
    kept, whole, killed = tmp_path / "kept", tmp_path / "whole", tmp_path / "killed"
    settings = settings_of(foundation, steps=400) if is_tuned else tiny.DEEPMD
    for folder in (kept, whole, killed):
        folder.mkdir()
    for folder in (whole, killed):
        tiny.write_settings(folder / "settings.json", settings)
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}

    def command(work: Path) -> list[str]:
        weights = ["--weights", str(foundation)] if is_tuned else []
        return [sys.executable, SCRIPT, *tiny.arguments(work, split), *weights]

    subprocess.run(command(whole), cwd=whole, env=env, stderr=subprocess.DEVNULL, check=True)
    going_on = [*command(killed), "--checkpoints", str(kept)]
    process = subprocess.Popen(going_on, cwd=killed, env=env, stderr=subprocess.DEVNULL)
    while not list(kept.glob("*/model.ckpt-160.pt")):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = subprocess.run(going_on, cwd=killed, env=env, stderr=subprocess.PIPE, text=True, check=True)
    steps = [int(line.split("Batch")[1].split(":")[0]) for line in done.stderr.splitlines() if " val: rmse" in line]
    assert steps[0] >= 160
    assert steps[-1] == 400
    assert not list(kept.iterdir())
    assert pl.read_parquet(whole / "model" / "curve.parquet").equals(
        pl.read_parquet(killed / "model" / "curve.parquet")
    )
    ended, resumed = weights_of(whole / "model"), weights_of(killed / "model")
    assert ended
    for name, value in ended.items():
        np.testing.assert_array_equal(value, resumed[name])


@pytest.mark.all
def test_what_cannot_be_tuned_is_refused_with_one_line(
    foundation: Path, split: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(line: str, weights: Path, **more: Any) -> None:
        tiny.write_settings(tmp_path / "settings.json", settings_of(weights, **more))
        with contextlib.chdir(tmp_path):
            assert train.main([*tiny.arguments(tmp_path, split), "--weights", str(weights)]) == 2
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
        deepmd_net.read_foundation(foundation, "m", None, ["F", "K"])
