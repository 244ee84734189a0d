"""Labels of a model, from its folder, as evaluation and dynamics compute it: a teacher for smaller and faster ones."""

from ase import Atoms

from ionmelt.errors import UserError
from ionmelt.frame import Label
from ionmelt.labels.engines.settings import LabelledModel, ModelLabels
from ionmelt.models.calculators import load_calculator
from ionmelt.models.card import read_card
from ionmelt.models.prediction import computed


class Engine:
    """Energy, forces and stress of a model; frames without images, such as an ion alone, have the stress of their forces.

    Raises `UserError` where the folder is not of the model that the plan means.
    """

    def __init__(self, settings: ModelLabels, threads: int, model: LabelledModel) -> None:
        card = read_card(model.folder)
        given = {*card.files.values(), card.source.sha256 if card.source else None}
        if model.teacher.sha256 not in given:
            raise UserError(f"labels.model: {settings.model}: none of its files has sha256 {model.teacher.sha256}")
        self.version = f"{card.framework} {settings.model} {model.teacher.sha256[:12]}"
        self.calculator = load_calculator(model.folder, threads=threads)

    def label(self, atoms: Atoms, cold: bool = False) -> Label:
        """Label one frame; each is computed by itself, so that a cold start is no other."""
        atoms.calc = self.calculator
        return Label(*computed(atoms), converged=True)
