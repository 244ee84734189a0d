"""Files of measured values: every mistake has a line, every unit becomes SI."""

import re
from pathlib import Path

import pytest
from planned_studies import ASSETS, reference_file
from rdkit import Chem
from rdkit.Chem import Descriptors

from ionmelt.errors import UserError
from ionmelt.liquid.ions import library
from ionmelt.measure.observables import NAMED
from ionmelt.study.reference_files import COLUMNS, read_references

LIBRARY = library(ASSETS)


def test_reference_table_is_the_published_one() -> None:
    """A few rows, as NIST ILThermo has them, and the shape of the whole."""
    table = read_references(ASSETS / "references" / "ilthermo.csv")
    assert len(table) == 146
    at_298 = {
        (dict(row.composition).keys() - {"tfsi", "bf4"}).pop() + "-" + row.property: row.value
        for row in table if row.temperature_K == 298.15 and "tfsi" in dict(row.composition)
    }  # fmt: skip
    assert at_298["pyr14-density"] == 1394.6
    assert at_298["pyr14-viscosity"] == pytest.approx(0.0769)
    assert at_298["pyr14-conductivity"] == 0.2765
    for row in table:
        assert row.low <= row.value <= row.high


def test_the_electrolytes_have_the_concentrations_that_their_sources_say() -> None:
    """Moles of salt in a litre, by the masses of the periodic table and the density of the row itself."""
    salts = [row for row in read_references(ASSETS / "references" / "solvents.csv") if " M; their box" in row.source]
    assert len(salts) == 19
    for row in salts:
        asked = float(re.search(r"([\d.]+) M; their box", row.source)[1])
        counts = dict(row.composition)
        grams = sum(
            count * Descriptors.MolWt(Chem.MolFromSmiles(LIBRARY[name]["smiles"])) for name, count in counts.items()
        )
        cation = next(name for name in ("na", "k") if name in counts)
        assert counts[cation] / (grams / row.value) == pytest.approx(asked, rel=2e-3)
        assert row.temperature_K == 298.2
        assert 0.001 < row.standard_uncertainty / row.value < 0.03


CHARGES = {"pyr14": 1, "tfsi": -1, "bf4": -1}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"property": "colour"}, f"property: 'colour': give one of {', '.join(NAMED)}"),
        ({"property": "desnity"}, f"property: 'desnity': did you mean density? give one of {', '.join(NAMED)}"),
        ({"unit": "g/cm"}, "unit: 'g/cm': did you mean g/cm3? give one of kg/m3, g/cm3, g/mL"),
        ({"unit": "lb/ft3"}, "unit: 'lb/ft3': give one of kg/m3, g/cm3, g/mL"),
        ({"value": "-1"}, "value: '-1' is not a positive number"),
        ({"value": "nan"}, "value: 'nan' is not a positive number"),
        ({"value": "1,392"}, "value: '1,392' is not a positive number: give a decimal point, and no other marks"),
        ({"value": ""}, "value: empty: give the measured value"),
        ({"value": "1500000", "low": "", "high": "", "range": ""}, "value: 1.5e+06 kg/m3 is no density of a liquid, which is "
         "from 100 to 20000 kg/m3: is the unit right?"),
        ({"value": "1.392", "low": "1.39", "high": "1.395"}, "value: 1.392 kg/m3 is no density of a liquid, which is from 100 "
         "to 20000 kg/m3: is the unit right?"),
        ({"unit": "g/cm3", "low": "", "high": "", "range": ""}, "value: 1392 g/cm3 is no density of a liquid, which is from 100 "
         "to 20000 kg/m3: is the unit right?"),
        ({"temperature_K": "25"}, "temperature_K: 25 is below 100 K: is it 25 degC? give kelvin, 298.15"),
        ({"temperature_K": "29815"}, "temperature_K: 29815 is above 3000 K: give kelvin"),
        ({"temperature_K": "-5"}, "temperature_K: '-5' is not a positive number"),
        ({"value": "1396"}, "value: 1396 is outside its own range, low 1390 to high 1395"),
        ({"value": "1389"}, "value: 1389 is outside its own range, low 1390 to high 1395"),
        ({"low": "1395", "high": "1390"}, "low: 1395 is above high 1390"),
        ({"high": ""}, "high: empty: give both low and high, or neither"),
        ({"range": ""}, "range: '': say what low and high are: standard uncertainty, 95 % interval, quartiles, min-max"),
        ({"range": "quartlies"},
         "range: 'quartlies': did you mean quartiles? say what low and high are: standard uncertainty, 95 % interval, quartiles, min-max"),
        ({"range": "error"}, "range: 'error': say what low and high are: standard uncertainty, 95 % interval, quartiles, min-max"),
        ({"low": "", "high": ""}, "range: 'quartiles', but low and high are empty: give them, or leave range empty"),
        ({"n": "2.5"}, "n: '2.5': give the number of data sets"),
        ({"ions": "pyr14 tfsi"}, "ions: 'pyr14 tfsi': give a composition such as 'pyr14:1 tfsi:1'"),
        ({"ions": "pyr41:1 tfsi:1"}, "ions: pyr41: neither of assets nor of this study; did you mean pyr14? known: bf4, pyr14, tfsi"),
        ({"ions": "pyr14:1 tfsi:2"}, "ions: 'pyr14:1 tfsi:2': the charges sum to -1: no liquid has this composition"),
        ({"ions": "pyr14:1 pyr14:1 tfsi:1"}, "ions: 'pyr14:1 pyr14:1 tfsi:1': an ion is given twice"),
        ({"species": "pyr14"}, "species: 'pyr14': leave it empty: a density is that of the liquid"),
        ({"property": "diffusion", "unit": "m2/s", "value": "1e-11", "low": "1e-11", "high": "1e-11", "species": "li"},
         "species: 'li': give the ion that diffuses, one of pyr14, tfsi"),
        ({"source": ""}, "source: empty: say where the value is from"),
        ({"second_hand": "maybe"}, "second_hand: 'maybe': give true or false"),
    ],
)  # fmt: skip
def test_a_wrong_line_of_a_reference_file(tmp_path: Path, change: dict[str, str], problem: str) -> None:
    with pytest.raises(UserError) as caught:
        read_references(reference_file(tmp_path, change), CHARGES)
    assert caught.value.errors == [f"mine.csv: line 2: {problem}"]


def test_every_mistake_of_a_reference_file_has_a_line_with_its_row(tmp_path: Path) -> None:
    path = reference_file(
        tmp_path, {}, {"temperature_K": "25", "value": "2000", "n": "x"}, {"ions": "a:1"}, {"source": "s0"}
    )
    path.write_text(path.read_text() + "pyr14:1 tfsi:1,density\n")
    with pytest.raises(UserError) as caught:
        read_references(path, CHARGES)
    lines = [line.removeprefix("mine.csv: line ") for line in caught.value.errors]
    assert [line.partition(":")[0] for line in lines] == ["3", "3", "3", "4", "5", "6"]
    assert lines[-2:] == ["5: is the same as line 2: give each value of a source once", "6: 2 columns: give 12"]


def test_a_reference_file_as_spreadsheets_write_it(tmp_path: Path) -> None:
    """With a byte order mark, spaces after the commas of the first line, and lines of commas alone."""
    path = reference_file(tmp_path, {}, {"temperature_K": "310"})
    head, *rows = path.read_text().splitlines()
    plain = read_references(path, CHARGES)
    assert len(plain) == 2
    lines = ["\ufeff" + head.replace(",", ", "), *rows, "," * (len(COLUMNS) - 1), ""]
    path.write_text("\r\n".join(lines), newline="")
    assert read_references(path, CHARGES) == plain


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ((",", ";"), "its columns are separated by ';': separate them by commas, with decimal points; "),
        ((",", "\t"), "its columns are separated by '\\t': separate them by commas, with decimal points; "),
        (("value", "value (kg/m3)"), "'value (kg/m3)': no such column; value: missing; "),
        (("value,unit", "unit,value"), "in another order; "),
        (("second_hand", "second_hand,note"), "'note': no such column; "),
        ((",n,", ","), "n: missing; "),
    ],
)
def test_a_wrong_first_line_of_a_reference_file(tmp_path: Path, change: tuple[str, str], problem: str) -> None:
    path = reference_file(tmp_path, {})
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(UserError) as caught:
        read_references(path, CHARGES)
    assert caught.value.errors == [f"mine.csv: line 1: {problem}give the columns {','.join(COLUMNS)}"]


@pytest.mark.parametrize(
    ("kind", "unit", "factor"),
    [
        ("density", "g/cm³", 1000), ("density", "g cm^-3", 1000), ("density", "g/mL", 1000), ("density", "kg m⁻³", 1), ("density", "kg/m^3", 1),
        ("viscosity", "cP", 1e-3), ("viscosity", "mPa·s", 1e-3), ("viscosity", "mPa s", 1e-3), ("conductivity", "mS cm−1", 0.1),
        ("conductivity", "S m-1", 1), ("compressibility", "GPa⁻¹", 1),
    ],
)  # fmt: skip
def test_units_are_read_as_papers_write_them(tmp_path: Path, kind: str, unit: str, factor: float) -> None:
    value = {"density": "1200", "viscosity": "30", "conductivity": "2", "compressibility": "0.4"}[kind]
    value = str(float(value) / 1000) if factor == 1000 else value
    change = {"property": kind, "value": value, "unit": unit, "low": "", "high": "", "range": ""}
    (row,) = read_references(reference_file(tmp_path, change))
    assert row.value == pytest.approx(float(value) * factor)


def test_a_diffusion_in_cm2_that_says_m2_is_refused(tmp_path: Path) -> None:
    """Of an ionic liquid, 1e-11 m2/s: in the other unit 1e-7."""
    change = {
        "property": "diffusion",
        "species": "tfsi",
        "value": "1e-7",
        "unit": "m2/s",
        "low": "",
        "high": "",
        "range": "",
    }
    with pytest.raises(UserError, match="is no diffusion of a liquid"):
        read_references(reference_file(tmp_path, change))


def test_units_of_a_reference_file_become_si(tmp_path: Path) -> None:
    change = {"ions": "a:2 b:4", "property": "viscosity", "value": "77", "unit": "mPa.s", "low": "70", "high": "80",
              "range": "min-max", "n": ""}  # fmt: skip
    (row,) = read_references(reference_file(tmp_path, change))
    assert (row.value, row.low, row.unit, row.n) == (0.077, 0.07, "Pa.s", None)
    assert row.standard_uncertainty == pytest.approx(0.01 / 12**0.5, rel=1e-5)
    assert row.composition == (("a", 1), ("b", 2))
