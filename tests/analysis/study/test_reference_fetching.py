"""What is made of ILThermo's answers, given in the form that its client has; the network itself is not asked."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ionmelt.errors import UserError
from ionmelt.study.reference_fetching import fetch, main
from ionmelt.study.reference_files import read_references


class Frame:
    """A table as ilthermopy's pandas gives it."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def to_dict(self, orient: str) -> list[dict[str, Any]]:
        assert orient == "records"
        return self.rows


NAME = "1-ethyl-3-methylimidazolium tetrafluoroborate"
HEADER = {"V1": "Temperature, K", "V2": "Pressure, kPa", "V3": "Specific density, kg/m<SUP>3</SUP> => Liquid",
          "dV3": "Error of specific density"}  # fmt: skip


def ilthermo(densities: dict[str, list[tuple[float, float, float]]]) -> Any:
    """Data sets of densities as (kelvin, kPa, kg/m3), by their ids."""

    def search(compound: str, n_compounds: int, prop: str) -> Frame:
        assert (compound, n_compounds) == (NAME, 1)
        return Frame([{"id": key, "cmp1": NAME} for key in densities] if prop == "Density" else [])

    def entry(key: str) -> Any:
        rows = [{"V1": kelvin, "V2": kpa, "V3": value, "dV3": 0.5} for kelvin, kpa, value in densities[key]]
        return SimpleNamespace(header=HEADER, data=Frame(rows))

    smiles = {NAME: "CC[n+]1ccn(C)c1.F[B-](F)(F)F", "water": "O", "strange": "not a SMILES"}
    compounds = SimpleNamespace(name2smiles=smiles)
    return SimpleNamespace(Search=search, GetEntry=entry, GetSavedCompounds=lambda: compounds, __version__="1.1.3")


def test_the_median_over_data_sets_is_a_reference_of_the_plan(tmp_path: Path) -> None:
    """At 0.1 MPa; of one set with two points at a temperature their median counts once."""
    sets = {
        "a": [(298.15, 101, 1280.0), (298.15, 101, 1282.0), (298.15, 20000, 1290.0)],
        "b": [(298.15, 100, 1279.0)],
        "c": [(298.15, 101.3, 1284.0), (353.15, 101.3, 1243.0)],
    }
    path = tmp_path / "measured.csv"
    assert fetch(["[C2mim]+", "BF4"], path, ilthermo(sets)) == 2
    first, second = read_references(path, {"emim": 1, "bf4": -1})
    assert (first.composition, first.temperature_K, first.value, first.n) == (
        (("bf4", 1), ("emim", 1)),
        298.15,
        1281.0,
        3,
    )
    assert (first.low, first.high, first.range) == (1280.0, 1282.5, "quartiles")
    assert (second.value, second.n, second.standard_uncertainty) == (1243.0, 1, None)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["emim", "tsfi"], "did you mean tfsi"),
        (["emim"], "a cation and an anion"),
        (["emim", "li", "bf4"], "a cation and an anion"),
        (["li", "bf4"], "ILThermo has no compound of these"),
        (["emim", "bf4"], "no density, viscosity or conductivity"),
    ],
)
def test_what_cannot_be_fetched_is_said(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        fetch(names, tmp_path / "measured.csv", ilthermo({}))
    assert not (tmp_path / "measured.csv").exists()


def test_the_command_line_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["emim", "bf4", "--out", str(tmp_path / "x.csv")]) == 2
    assert "pip install ilthermopy" in capsys.readouterr().err
