"""What is read of a foundation model: its head and its reference energies."""

from pathlib import Path

import pytest
import torch
from mace_models import model_of

from ionmelt.errors import UserError
from ionmelt.models import weights
from ionmelt.models.frameworks import mace_foundation

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.save(model_of("8x0e"), tmp_path / "model.pt")
    return tmp_path / "model.pt"


def test_a_head_that_is_not_there_is_a_line_with_those_that_are(file: Path) -> None:
    assert mace_foundation.read_foundation(file, "m", None).head == "Default"
    with pytest.raises(
        UserError,
        match=r"model m: head: 'dft' is none of the heads of model\.pt: did you mean Default\? give one of Default",
    ):
        mace_foundation.read_foundation(file, "m", "dft")


def test_reference_energies_are_those_of_the_head(file: Path) -> None:
    assert mace_foundation.read_foundation(file, "m", None).e0s_ev == {3: -5.0, 9: -100.0, 11: -60.0}
    model = model_of("8x0e")
    model.heads = ["pt_head", "Default"]
    model.atomic_energies_fn.atomic_energies = torch.tensor([[-1.0, -2.0, -3.0], [-4.0, -5.0, -6.0]])
    assert weights.e0s_of(model, "Default") == {3: -4.0, 9: -5.0, 11: -6.0}


def test_reference_energies_that_a_training_changed_are_noticed(file: Path) -> None:
    meant = {"Default": {3: -5.0, 9: -100.0, 11: -60.0}}
    assert mace_foundation.check_energies(file, meant, "m") == ["Default"]
    meant["Default"][9] = -99.0
    with pytest.raises(RuntimeError, match=r"model m: head Default: F has -100\.0 eV, not -99\.0"):
        mace_foundation.check_energies(file, meant, "m")
