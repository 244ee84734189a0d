"""The references of a liquid, measured and interpolated."""

from pathlib import Path

import pytest
from planned_studies import Planned, demo, reference_file, rows

from ionmelt.study.interpolation import references_of
from ionmelt.study.references import Reference


def test_what_was_measured_at_1_bar_is_of_no_liquid_under_pressure(planned: Planned) -> None:
    content = demo()
    content["liquids"][0] |= {"ions": {"tfsi": 10, "pyr14": 10}, "temperatures_K": [333.15]}
    for pressure_bar, there in ((1, True), (0, True), (5, True), (5000, False), (-300, False)):
        content["liquids"][0]["pressure_bar"] = pressure_bar
        assert planned(content) == (0, [])
        said = [line for line in Path("plan/warnings.txt").read_text().splitlines() if "pressure_bar" in line]
        assert bool(rows("references.csv")) == there
        assert bool(said) != there and all(f"{pressure_bar} bar: the measured values" in line for line in said)


def test_a_file_of_the_user_is_taken_at_the_pressure_of_the_study(planned: Planned, tmp_path: Path) -> None:
    content = demo()
    content["references"] = ["mine.csv"]
    content["liquids"][0] |= {"ions": {"tfsi": 10, "pyr14": 10}, "temperatures_K": [300], "pressure_bar": 5000}
    reference_file(tmp_path, {})
    assert planned(content) == (0, [])
    assert len(rows("references.csv")) == 1


def test_references_find_the_liquid_by_composition(planned: Planned) -> None:
    content = demo()
    content["liquids"] = [
        {"id": "x00", "ions": {"tfsi": 10, "pyr14": 10}, "temperatures_K": [333.15, 340, 430]},
        {"id": "x10", "ions": {"li": 1, "tfsi": 10, "pyr14": 9}, "temperatures_K": [333.15]},
    ]
    assert planned(content) == (0, [])
    references = rows("references.csv")
    assert {row["liquid"] for row in references} == {"x00"}
    density = {float(row["temperature_K"]): row for row in references if row["property"] == "density"}
    assert float(density[333.15]["value"]) == 1363.99
    assert density[333.15]["interpolated"] == "false" and density[340]["interpolated"] == "true"
    # the quartiles of the file, of 12 and 9 data sets, in what is expected between those of so many normal values
    sigma = [
        (float(density[kelvin]["high"]) - float(density[kelvin]["low"])) / distance
        for kelvin, distance in ((333.15, 1.202), (343.15, 1.144))
    ]
    assert float(density[333.15]["standard_uncertainty"]) == pytest.approx(sigma[0], rel=1e-3)
    weight = (340 - 333.15) / 10
    assert float(density[340]["value"]) == pytest.approx(1363.99 * (1 - weight) + 1355.31 * weight, rel=1e-5)
    interpolated = sigma[0] * (1 - weight) + sigma[1] * weight
    assert float(density[340]["standard_uncertainty"]) == pytest.approx(interpolated, rel=1e-3)
    assert 430 not in density, "nothing is extrapolated"
    assert {row["unit"] for row in references} == {"kg/m3", "Pa.s", "S/m"}
    assert {row["second_hand"] for row in references} == {"false"}


def test_the_papers_density_is_second_hand_and_has_no_temperature(planned: Planned) -> None:
    assert planned(demo() | {"references": ["assets/references/paper_2503_18249.csv"]}) == (0, [])
    (row,) = rows("references.csv")
    assert (row["value"], row["temperature_K"], row["second_hand"]) == ("1070.0", "", "true")


def test_viscosity_is_interpolated_as_arrhenius() -> None:
    """An exact Arrhenius law comes back exactly; a straight line would be 4 % off."""
    import math

    def row(kelvin: float) -> Reference:
        return Reference(
            composition=(("a", 1),), property="viscosity", species=None, temperature_K=kelvin,
            value=1e-5 * math.exp(3000 / kelvin), low=None, high=None, range=None, unit="Pa.s", n=3,
            standard_uncertainty=1e-7 * math.exp(3000 / kelvin), source="s", second_hand=False)  # fmt: skip

    (middle,) = [r for r in references_of("a", {"a": 2}, [310], [row(300), row(330)], {}) if r.temperature_K == 310]
    assert middle.value == pytest.approx(row(310).value, rel=1e-5)
    assert middle.standard_uncertainty == pytest.approx(row(310).standard_uncertainty, rel=1e-5)  # 1 % there too
