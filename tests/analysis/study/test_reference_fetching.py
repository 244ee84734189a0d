"""What is made of ILThermo's answers, given in the form that its client has; the network itself is not asked."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from ionmelt.errors import UserError
from ionmelt.study import reference_fetching
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


NAME, NITRATE = "1-ethyl-3-methylimidazolium tetrafluoroborate", "Ethylammonium nitrate"
KELVIN, KPA = "Temperature, K", "Pressure, kPa"
DENSITY, DIFFUSION = (
    "Specific density, kg/m<SUP>3</SUP> => Liquid",
    "Self-diffusion coefficient of {}, m<SUP>2</SUP>/s => Liquid",
)
EMIM, BF4 = "1-ethyl-3-methylimidazolium", "tetrafluoroborate"
# The names that ILThermo's list of properties has had, with keys.
LISTED = {"Density": "d", "Viscosity": "v", "Self diffusion coefficient": "s", "Tracer diffusion coefficient": "t"}


class SearchError(Exception):
    """What the client raises where ILThermo refuses a search, or has nothing."""


class ResponseError(Exception):
    """What it raises for an answer of another form."""


def entry(columns: list[str], rows: list[tuple[float, ...]], constraints: Any = ()) -> Any:
    """Return a data set as the client gives it, with an error beside the last column."""
    keys = [f"V{number}" for number in range(1, len(columns) + 1)]
    header = dict(zip(keys, columns, strict=True)) | {f"dV{len(keys)}": f"Error of {columns[-1].lower()}"}
    table = [dict(zip(keys, row, strict=True)) | {f"dV{len(keys)}": 0.5} for row in rows]
    return SimpleNamespace(header=header, data=Frame(table), constraints=constraints)


def ilthermo(sets: dict[str, dict[str, Any]], compound: str = NAME) -> Any:
    """Return a client whose data sets are given by property and id; an error in the place of one is raised."""

    def search(compound: str, n_compounds: int, prop_key: str) -> Frame:
        assert n_compounds == 1
        ids = sets.get(prop_key, {}) if compound.lower() == named.lower() else {}
        if not ids:
            raise SearchError("\n* no entries\n")
        return Frame([{"id": key, "cmp1": named} for key in ids])

    def get(key: str) -> Any:
        answer = next(ids[key] for ids in sets.values() if key in ids)
        if isinstance(answer, Exception):
            raise answer
        return answer

    named = compound
    smiles = {NAME: "CC[n+]1ccn(C)c1.F[B-](F)(F)F", "water": "O", "strange": "not a SMILES"}
    return SimpleNamespace(
        Search=search, GetEntry=get, GetSavedCompounds=lambda: SimpleNamespace(name2smiles=smiles), __version__="1.1.3",
        PropertyList=lambda: SimpleNamespace(prop2key=LISTED),
        errors=SimpleNamespace(ILThermoSearchError=SearchError, ILThermoResponseError=ResponseError),
    )  # fmt: skip


CHARGES = {"emim": 1, "bf4": -1, "ea": 1, "no3": -1, "water": 0}


def test_the_median_over_data_sets_is_a_reference_of_the_plan(tmp_path: Path) -> None:
    """At 0.1 MPa; of one set with two points at a temperature their median counts once."""
    columns = [KELVIN, KPA, DENSITY]
    sets = {
        "a": entry(columns, [(298.15, 101, 1280.0), (298.15, 101, 1282.0), (298.15, 20000, 1290.0)]),
        "b": entry(columns, [(298.15, 100, 1279.0)]),
        "c": entry(columns, [(298.15, 101.3, 1284.0), (353.15, 101.3, 1243.0)]),
    }
    path = tmp_path / "measured.csv"
    assert fetch(["[C2mim]+", "BF4"], path, ilthermo({"d": sets})) == 2
    first, second = read_references(path, CHARGES)
    assert first.composition == (("bf4", 1), ("emim", 1))
    assert (first.temperature_K, first.value, first.n) == (298.15, 1281.0, 3)
    assert (first.low, first.high, first.range) == (1280.0, 1282.5, "quartiles")
    assert (second.value, second.n, second.standard_uncertainty) == (1243.0, 1, None)


@pytest.mark.parametrize(
    ("columns", "rows", "constraints", "values"),
    [
        ([KPA, DENSITY], [(101, 1280.0), (5000, 1290.0)], ["Temperature of 298.15 K"], {298.15: 1280.0}),
        ([KELVIN, DENSITY], [(298.15, 1280.0)], ["Pressure of 101.325 kPa"], {298.15: 1280.0}),
        ([KELVIN, DENSITY], [(298.15, 1310.0)], ["Pressure of 50000 kPa"], {}),
        ([KELVIN, DENSITY], [(298.15, 1310.0)], ["Pressure of 50 MPa"], {}),
        ([KELVIN, DENSITY], [(298.15, 1280.0)], None, {298.15: 1280.0}),
        ([DENSITY], [(1280.0,)], "Temperature of 298.15 K; Pressure of 100 kPa", {298.15: 1280.0}),
        ([KPA, DENSITY], [(101, 1280.0)], [], {}),
    ],
)
def test_what_a_data_set_was_held_at_counts(
    tmp_path: Path, columns: list[str], rows: Any, constraints: Any, values: dict[float, float]
) -> None:
    client, path = ilthermo({"d": {"a": entry(columns, rows, constraints)}}), tmp_path / "measured.csv"
    if not values:
        with pytest.raises(UserError, match="no density"):
            fetch(["emim", "bf4"], path, client)
    else:
        fetch(["emim", "bf4"], path, client)
        assert {row.temperature_K: row.value for row in read_references(path, CHARGES)} == values


@pytest.mark.parametrize(
    ("named", "ion"), [(EMIM, "emim"), (f"{BF4} anion", "bf4"), (NAME, None), ("1-butyl-3-methylimidazolium", None)]
)
def test_self_diffusion_is_of_the_ion_that_its_column_names(tmp_path: Path, named: str, ion: str | None) -> None:
    diffusion = entry([KELVIN, KPA, DIFFUSION.format(named)], [(298.15, 101, 4.9e-11)])
    density, path = entry([KELVIN, KPA, DENSITY], [(298.15, 101, 1280.0)]), tmp_path / "measured.csv"
    fetch(["emim", "bf4"], path, ilthermo({"d": {"a": density}, "s": {"b": diffusion}}))
    rows = [row for row in read_references(path, CHARGES) if row.property == "diffusion"]
    assert [(row.species, row.value) for row in rows] == ([] if ion is None else [(ion, 4.9e-11)])


def test_of_a_molecule_self_diffusion_is_its_own(tmp_path: Path) -> None:
    diffusion = entry([KELVIN, "Self-diffusion coefficient, m<SUP>2</SUP>/s => Liquid"], [(298.15, 2.3e-9)])
    assert fetch(["water"], tmp_path / "measured.csv", ilthermo({"s": {"a": diffusion}}, "water")) == 1
    (row,) = read_references(tmp_path / "measured.csv", CHARGES)
    assert (row.property, row.species, row.value) == ("diffusion", "water", 2.3e-9)


def test_a_compound_of_which_the_client_has_no_smiles_is_asked_for_by_its_name(tmp_path: Path) -> None:
    density = entry([KELVIN, KPA, DENSITY], [(298.15, 101, 1208.0)])
    assert fetch(["ea", "no3"], tmp_path / "measured.csv", ilthermo({"d": {"a": density}}, NITRATE)) == 1
    assert read_references(tmp_path / "measured.csv", CHARGES)[0].composition == (("ea", 1), ("no3", 1))


def test_a_data_set_that_cannot_be_read_is_said_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = {
        "good": entry([KELVIN, KPA, DENSITY], [(298.15, 101, 1280.0)]),
        "odd": ResponseError("ilset: 3 in a cell"), "other": KeyError("title"),
    }  # fmt: skip
    assert fetch(["emim", "bf4"], tmp_path / "measured.csv", ilthermo({"d": sets})) == 1
    said = capsys.readouterr().err
    assert "data set odd is left out, since it cannot be read: ilset: 3 in a cell" in said and "data set other" in said


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["emim", "tsfi"], "did you mean tfsi"),
        (["emim"], "a cation and an anion"),
        (["emim", "li", "bf4"], "a cation and an anion"),
        (
            ["li", "bf4"],
            "lithium tetrafluoroborate: ILThermo has no density, viscosity, conductivity or self-diffusion",
        ),
        (["emim", "bf4"], "no density, viscosity, conductivity or self-diffusion"),
    ],
)
def test_what_cannot_be_fetched_is_said(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        fetch(names, tmp_path / "measured.csv", ilthermo({}))
    assert not (tmp_path / "measured.csv").exists()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ResponseError("ilprpls: Unexpected JSON structure"), "answer cannot be read: ilprpls"),
        (ConnectionError("no route"), "reached"),
    ],
)
def test_an_answer_that_is_none_is_a_line(tmp_path: Path, error: Exception, message: str) -> None:
    client = ilthermo({})

    def fail() -> Any:
        raise error

    client.PropertyList = fail
    with pytest.raises(UserError, match=message):
        fetch(["emim", "bf4"], tmp_path / "measured.csv", client)


def test_the_command_line_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["emim", "bf4", "--out", str(tmp_path / "x.csv")]) == 2
    assert "pip install ilthermopy" in capsys.readouterr().err


def test_what_is_printed_names_the_file_from_wherever_the_study_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A path in a study is relative to it; a name may hold what means something to YAML."""
    monkeypatch.chdir(tmp_path)
    density = entry([KELVIN, KPA, DENSITY], [(298.15, 101, 1280.0)])
    monkeypatch.setattr(reference_fetching, "client", lambda: ilthermo({"d": {"a": density}}))
    assert main(["emim", "bf4", "--out", "mine, of 'é'.csv"]) == 0
    said = yaml.safe_load(capsys.readouterr().out.partition("1 rows: ")[2])
    assert said == {"references": [str(tmp_path / "mine, of 'é'.csv")]}


def test_a_wrong_name_is_said_where_the_package_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["EMIM-BF4", "--out", str(tmp_path / "measured.csv")]) == 2
    assert "'EMIM-BF4' is a salt: give its ions, emim and bf4" in capsys.readouterr().err
