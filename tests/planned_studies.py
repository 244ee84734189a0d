"""A study to make mistakes in, what makes them, and what is in the plan of one that has none."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ionmelt.files import SUMS

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "assets"
STUDIES = ROOT / "studies"
DEMO = (STUDIES / "demo.yaml").read_text()

CP2K_LABELS = {
    "engine": "cp2k", "functional": "PBE", "dispersion": "D3(BJ)", "basis": "DZVP-MOLOPT-SR-GTH", "potential": "GTH-PBE",
    "cutoff_Ry": 800, "rel_cutoff_Ry": 60, "eps_scf": 1e-7,
}  # fmt: skip

Study = dict[str, Any]
Planned = Callable[..., tuple[int, list[str]]]
Spoil = Callable[[Study], Any]
Refused = Callable[[Spoil, list[str]], None]
Refusal = tuple[str, Spoil, list[str]]  # name, what spoils the study, and the lines that must be said


def demo() -> Study:
    """Return a study to make mistakes in."""
    return {
        "name": "demo",
        "liquids": [
            {
                "id": "pyr14bf4",
                "ions": {"pyr14": 4, "bf4": 4},
                "temperatures_K": [430],
                "density_guess_kg_m3": 1000,
            }
        ],
        "sampling": {"eq": {"frames": 20}, "neq": {"volume_scan": {"frames": 10}, "rattle": {"frames": 5}}},
        "labels": {"engine": "xtb"},
        "datasets": {"eq": ["eq"], "both": ["eq", "neq"]},
        "models": [
            {"id": "mace", "framework": "mace", "channels": 16, "r_max_A": 4.5, "epochs": 5},
            {"id": "dpmd", "framework": "deepmd", "steps": 100},
            {"id": "clp", "framework": "classical"},
        ],
        "seeds": [1, 2],
        "md": {"npt_ps": 0.1, "nvt_ps": 0.1, "replicas": 2},
    }


def contents(folder: Path) -> dict[str, str]:
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != SUMS]
    return {str(p.relative_to(folder)): p.read_text() for p in files}


def rows(path: str) -> list[dict[str, str]]:
    with Path("plan", path).open() as file:
        return list(csv.DictReader(file))


def loaded(path: str) -> Any:
    return json.loads(Path("plan", path).read_text())


ION_NAMES = ", ".join(sorted(path.stem for path in (ASSETS / "ions").glob("*.yaml")))
MOLECULE_NAMES = ", ".join(sorted(path.stem for path in (ASSETS / "molecules").glob("*.yaml")))

ZERO = "0" * 64


def ions(**counts: Any) -> Callable[[Study], None]:
    return lambda s: s["liquids"][0].update(ions=counts)


def concentrations(**fields: Any) -> Callable[[Study], None]:
    def change(study: Study) -> None:
        del study["liquids"][0]["ions"]
        study["liquids"][0]["composition"] = {"atoms": 300, **fields}

    return change


def liquid(**fields: Any) -> Callable[[Study], None]:
    return lambda s: s["liquids"][0].update(fields)


def model(index: int, **fields: Any) -> Callable[[Study], None]:
    return lambda s: s["models"][index].update(fields)


def class_model(**fields: Any) -> Callable[[Study], None]:
    """Return what puts a calculator class in the place of the first model."""
    named = {"id": "own", "framework": "ase", "calculator": "ase.calculators.lj.LennardJones", "theory": "LJ"} | fields

    def spoil(content: Study) -> None:
        content["models"][0] = {name: value for name, value in named.items() if value is not None}

    return spoil


def study(**fields: Any) -> Callable[[Study], None]:
    return lambda s: s.update(fields)


def without(name: str) -> Callable[[Study], None]:
    return lambda s: s.pop(name)


def sampling(**fields: Any) -> Callable[[Study], None]:
    return lambda s: s["sampling"].update(fields)


def md(**fields: Any) -> Callable[[Study], None]:
    return lambda s: s["md"].update(fields)


def learning(**fields: Any) -> Study:
    """Return a small study with active learning."""
    content = demo()
    content["datasets"] = {"al": ["eq", "active"], "both": ["eq", "neq"]}
    content["models"] = [
        {"id": "mace", "framework": "mace"},
        {"id": "dpmd", "framework": "deepmd", "datasets": ["al"]},
        {"id": "clp", "framework": "classical"},
    ]
    return content | {"seeds": [1, 2], "active": {"frames": 4}, "budget_core_hours": 1e6} | fields


def each_of(refusals: list[Refusal]) -> pytest.MarkDecorator:
    """Return what runs a test for each refusal: its name, what spoils the study, and the lines that must be said."""
    return pytest.mark.parametrize(
        ("spoil", "lines"), [case[1:] for case in refusals], ids=[case[0] for case in refusals]
    )


GOOD_LINE = {"ions": "pyr14:1 tfsi:1", "property": "density", "species": "", "temperature_K": "300", "value": "1392", "unit": "kg/m3",
             "low": "1390", "high": "1395", "range": "quartiles", "n": "9", "source": "s", "second_hand": "false"}  # fmt: skip


def reference_file(folder: Path, *changes: dict[str, str]) -> Path:
    """Write a file of measured values, each line the good one with something changed."""
    with (folder / "mine.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(GOOD_LINE))
        writer.writeheader()
        writer.writerows(GOOD_LINE | {"source": f"s{i}"} | change for i, change in enumerate(changes))
    return folder / "mine.csv"
