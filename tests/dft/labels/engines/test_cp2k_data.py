"""Names of basis sets and pseudopotentials in CP2K's data, which may end in the charge of the potential."""

import pytest

from ionmelt.errors import UserError
from ionmelt.labels.engines.cp2k_data import basis_name, potential_name


def test_a_basis_may_be_named_without_the_charge_of_its_potential(tmp_path):
    (tmp_path / "GTH_POTENTIALS").write_text("Li GTH-PBE-q1\n 1\nLi GTH-PBE-q3 GTH-PBE\n 3\n")
    (tmp_path / "BASIS_MOLOPT").write_text("Li  SMALL SMALL-q3\n 1\n")
    (tmp_path / "BASIS_MOLOPT_UZH").write_text("Li LARGE-q1\n 1\nLi LARGE-q3\n 1\n")
    assert basis_name(tmp_path, "Li", "SMALL", "GTH-PBE") == "SMALL"
    assert basis_name(tmp_path, "Li", "LARGE", "GTH-PBE") == "LARGE-q3"
    assert basis_name(tmp_path, "Li", "LARGE-q1", "GTH-PBE-q1") == "LARGE-q1"
    with pytest.raises(UserError, match=r"labels\.potential: CP2K has no 'GTH-BLYP' for Li; it has GTH-PBE$"):
        basis_name(tmp_path, "Li", "SMALL", "GTH-BLYP")
    with pytest.raises(UserError, match=r"labels\.basis: CP2K has no 'HUGE' for Li; it has SMALL"):
        basis_name(tmp_path, "Li", "HUGE", "GTH-PBE")


def test_a_potential_without_its_charge_has_the_electrons_of_the_usual_one(tmp_path):
    (tmp_path / "GTH_POTENTIALS").write_text("Li GTH-PBE-q1\n 1\nLi GTH-PBE-q3 GTH-PBE\n 3\n")
    (tmp_path / "POTENTIAL_UZH").write_text("Li GTH-SCAN-q1 GTH-MGGA-q1\n 1\nLi GTH-SCAN-q3 GTH-MGGA-q3\n 3\n")
    assert potential_name(tmp_path, "Li", "GTH-SCAN") == ("POTENTIAL_UZH", "GTH-SCAN-q3")
    assert potential_name(tmp_path, "Li", "GTH-SCAN-q1") == ("POTENTIAL_UZH", "GTH-SCAN-q1")
    assert potential_name(tmp_path, "Li", "GTH-PBE") == ("GTH_POTENTIALS", "GTH-PBE")
