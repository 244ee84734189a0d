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
