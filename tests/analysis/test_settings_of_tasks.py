"""A settings file with a mistake ends the task of every script with a line that names it, and exit code 2."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ionmelt.dynamics import run
from ionmelt.dynamics.settings import RunSettings
from ionmelt.frames import choice, exploration, sampling
from ionmelt.frames.settings import ChooseSettings, ExploreSettings, SampleSettings
from ionmelt.labels import estimate, importing, labelling
from ionmelt.labels.engines import ENGINES
from ionmelt.labels.settings import ImportSettings, OwnLabels, settings_of
from ionmelt.liquid import equilibration, packing
from ionmelt.liquid.settings import BoxSettings, StateSettings
from ionmelt.settings import TaskSettings

LIQUID = {"id": "a", "liquid": "libf4", "replica": 1, "seed": 1}
CONDITIONS = {"temperature_K": 400.0, "pressure_bar": 1.0}
LITHIUM = {"name": "li", "smiles": "[Li+]", "charge": 1, "count": 1, "types": None, "hydrogen_types": None}
BOX = LIQUID | {
    "ions": [LITHIUM],
    "density_guess_kg_m3": 1000.0,
    "force_field": "clandp",
    "charge_scale": 1.0,
    "cutoff_A": 5.0,
}
STATE = LIQUID | CONDITIONS | {
    "force_field": "clandp", "timestep_fs": 1.0, "cutoff_A": "auto", "anneal_K": 500.0, "anneal_ps": 1.0, "cool_ps": 1.0,
    "settle_ps": 1.0, "production_ps": 1.0, "save_every_ps": 0.1,
}  # fmt: skip
SAMPLE = {
    "id": "a",
    "liquid": "libf4",
    "seed": 1,
    "temperatures_K": [400.0],
    "sampling": {"eq": {"frames": 1}},
    "chunk": 5,
}
EXPLORE = CONDITIONS | {
    "id": "a", "round": 1, "liquid": "libf4", "model": "m", "dataset": "d", "seed": 1, "frames": 2, "npt_ps": 1.0,
    "ramp_ps": 1.0, "ramp_K": 100.0, "swing_ps": 1.0, "swing_amplitude": 0.1, "every_fs": 10.0, "quantile": 0.9,
    "stop_factor": 3.0, "timestep_fs": 1.0, "thermostat_fs": 100.0, "barostat_fs": 500.0, "engine": "auto",
}  # fmt: skip
CHOOSE = {"id": "a", "liquid": "libf4", "frames": 3}
RUN = LIQUID | CONDITIONS | {
    "model": "m", "model_key": "m-s1", "dataset": None, "model_seed": None, "framework": "mace", "timestep_fs": 1.0,
    "npt_ps": 1.0, "nvt_ps": 1.0, "start_volume": 1.0, "hydrogen_mass_u": None, "thermostat_fs": 100.0, "barostat_fs": 500.0, "save_every_fs": 10.0,
    "max_trajectory_mb": 10.0, "engine": "auto", "batch": 1, "segment_ps": 0.5,
}  # fmt: skip
LABEL = {
    "id": "labels", "theory_id": "0123456789ab", "engine": "xtb", "method": "GFN1-xTB", "accuracy": 0.1, "max_iterations": 250,
    "electronic_temperature_K": 300.0, "max_frame_s": 60.0, "spot_check_fraction": 0.02,
}  # fmt: skip
OWN = OwnLabels(frames=("a.xyz",), theory="PBE").model_dump(mode="json")
IMPORT = OWN | {"id": "labels", "theory_id": "0123456789ab", "liquids": [{"id": "li", "ions": [LITHIUM]}]}
# Of each script: its settings, what they are, and what else its command line asks for
SCRIPTS: dict[str, tuple[Callable[[list[str]], int], type[TaskSettings], dict[str, Any], list[str]]] = {
    "build_liquid": (packing.main, BoxSettings, BOX, ["--assets", "folder"]),
    "equilibrate": (equilibration.main, StateSettings, STATE, ["--box", "folder"]),
    "sample_frames": (sampling.main, SampleSettings, SAMPLE, ["--states", "folder", "--counts", "counts.parquet"]),
    "explore_liquid": (
        exploration.main, ExploreSettings, EXPLORE, ["--state", "folder", "--models", "folder", "--valid", "folder"],
    ),
    "choose_frames": (
        choice.main, ChooseSettings, CHOOSE, ["--candidates", "folder", "--labelled", "folder", "--state", "folder"],
    ),
    "label_frames": (labelling.main, settings_of(ENGINES["xtb"]), LABEL, ["--frames", "folder"]),
    "estimate_labels": (estimate.main, settings_of(ENGINES["xtb"]), LABEL, ["--plan", "folder", "--boxes", "folder"]),
    "import_labels": (importing.main, ImportSettings, IMPORT, ["--frames", "a.xyz", "--assets", "folder"]),
    "run_md": (run.main, RunSettings, RUN, ["--state", "folder", "--model", "folder"]),
}  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_mistake_in_a_settings_file_is_a_line_and_exit_code_2(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    work = {"liquid": "libf4", "atoms": 48, "frames": 1, "chunk": 1, "again": 0.0, "core_s": 1.0}  # a plan that labels
    cost = {"basis": "assumed", "budget_core_hours": 1.0, "total_core_hours": 0.1, "stages": [], "labels": [work]}
    Path("folder/estimate.json").write_text(json.dumps(cost))
    main, model, settings, arguments = SCRIPTS[script]
    model.model_validate(settings)
    required = [name for name, entry in model.model_fields.items() if entry.is_required()]
    assert required == list(model.model_fields), (
        "the plan writes every setting: none has a default that hides a mistake"
    )
    for name in required:
        Path("settings.json").write_text(json.dumps({key: value for key, value in settings.items() if key != name}))
        assert main(["--id", "a", "--settings", "settings.json", "--out", "out", *arguments]) == 2
        assert capfd.readouterr().err == f"error: settings.json: {name}: missing\n"
    meant, mistyped = ("liquid", "liqiud") if "liquid" in required else ("theory_id", "thoery_id")
    Path("settings.json").write_text(json.dumps(settings | {mistyped: "libf4"}))
    assert main(["--id", "a", "--settings", "settings.json", "--out", "out", *arguments]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"error: settings.json: {mistyped}: unknown") and meant in line
