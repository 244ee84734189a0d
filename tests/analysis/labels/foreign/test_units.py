"""Units of other programs are those of ASE."""

import pytest

from ionmelt.errors import UserError
from ionmelt.labels.foreign import keys, survey, units
from ionmelt.labels.settings import ImportSettings, OwnLabels


def test_units_are_those_of_ase() -> None:
    assert units.ENERGY_UNITS_EV["kJ/mol"] == pytest.approx(0.0103642697, rel=1e-6)
    assert units.ENERGY_UNITS_EV["kcal/mol"] == pytest.approx(0.0433641, rel=1e-5)
    assert units.FORCES_UNITS_EV_A["Ha/Bohr"] == pytest.approx(51.4220675, rel=1e-6)
    assert units.STRESS_UNITS_EV_A3["kbar"] == pytest.approx(units.STRESS_UNITS_EV_A3["GPa"] / 10)
    given = OwnLabels(frames=["a"], theory="b").model_dump()
    settings = given | {"id": "labels", "liquids": [], "theory_id": "0123456789ab"}
    with pytest.raises(UserError, match=r"labels\.energy_key"):
        keys.choose_keys(survey.Survey(), ImportSettings.model_validate(settings))


WRITTEN = {
    "eV/A": ("eV/Å", "eV*angstrom^-1", "eV Å-1", "eV/Angst"),  # CP2K, papers, VASP
    "Ha/Bohr": ("hartree*bohr^-1", "Eh/bohr", "E_h/a_0", "au"),
    "kcal/mol/A": ("kcal/(mol*A)", "kcal mol^-1 A^-1", "kcal/mol/angstrom"),
    "kJ/mol/nm": ("kJ mol-1 nm-1", "kJ/(mol nm)"),
    "eV/A^3": ("eV/Å³", "eV*angstrom^-3", "eV/ang**3"),
    "Ha/Bohr^3": ("au/bohr^3", "hartree bohr^-3"),
    "kbar": ("kB",),
}


@pytest.mark.parametrize("unit", sorted(WRITTEN))
def test_a_unit_is_known_as_others_write_it(unit: str) -> None:
    quantity = "forces" if unit in units.FORCES_UNITS_EV_A else "stress"
    assert [units.unit_named(text, quantity) for text in WRITTEN[unit]] == [unit] * len(WRITTEN[unit])


def test_what_is_another_unit_is_not_taken_for_one_of_ours() -> None:
    assert [units.unit_named(text, "forces") for text in ("hartree/angstrom", "kJ/mol/A", "eV", "eV/nm")] == [None] * 4
    assert [units.unit_named(text, "energy") for text in ("meV", "H", "eV/atom")] == [None] * 3
