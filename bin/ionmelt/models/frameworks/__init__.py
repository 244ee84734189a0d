"""The frameworks of force fields: one row each. What differs between them is read from here; nothing here imports PyTorch.

The training of the framework NAME is NAME_training.py, which no row imports or quotes: an edit of it is to repeat the trainings of its
own framework alone.
"""

from typing import Annotated

from pydantic import Field

from ionmelt.laws import OPENMM_MEASURED, XTB_MEASURED
from ionmelt.models.framework import Framework
from ionmelt.models.frameworks import ase, classical, deepmd, mace, named, nequip, xtb

Model = Annotated[
    mace.MaceModel
    | deepmd.DeepmdModel
    | nequip.NequipModel
    | classical.ClassicalModel
    | xtb.XtbModel
    | named.NamedModel
    | ase.AseModel,
    Field(discriminator="framework"),
]

FRAMEWORKS: dict[str, Framework] = {
    row.name: row
    for row in (
        Framework(
            name="mace",
            settings=mace.MaceModel,
            environment="mace",
            training_settings=mace.MaceTraining,
            length="epochs",
            calculator=mace.calculator,
            md_core_s=mace.md_core_s,
            md_measured=mace.MD_MEASURED,
            training_core_s=mace.training_core_s,
            training_measured=mace.TRAINING_MEASURED,
            export=mace.EXPORT,
            weights_name="model.pt",
            cutoff="r_max_A",
            loss_weights=(("energy_weight", "forces_weight", "stress_weight"),),
        ),
        Framework(
            name="deepmd",
            settings=deepmd.DeepmdModel,
            environment="deepmd",
            training_settings=deepmd.DeepmdTraining,
            length="steps",
            calculator=deepmd.calculator,
            md_core_s=deepmd.md_core_s,
            md_measured=deepmd.MD_MEASURED,
            training_core_s=deepmd.training_core_s,
            training_measured=deepmd.TRAINING_MEASURED,
            variant="descriptor",
            export=deepmd.EXPORT,
            weights_name="model.pth",
            tuned_from=".pt",
            cutoff="rcut_A",
            loss_weights=(
                ("start_pref_e", "start_pref_f", "start_pref_v"),
                ("limit_pref_e", "limit_pref_f", "limit_pref_v"),
            ),
        ),
        Framework(
            name="nequip",
            settings=nequip.NequipModel,
            environment="nequip",
            training_settings=nequip.NequipTraining,
            length="epochs",
            calculator=nequip.calculator,
            md_core_s=nequip.md_core_s,
            md_measured=nequip.MEASURED,
            training_core_s=nequip.training_core_s,
            training_measured=nequip.MEASURED,
            export=nequip.EXPORT,
            weights_name="model.nequip.zip",
            cutoff="r_max_A",
            loss_weights=(("energy_weight", "forces_weight", "stress_weight"),),
        ),
        Framework(
            name="classical",
            settings=classical.ClassicalModel,
            calculator=classical.calculator,
            md_core_s=classical.md_core_s,
            md_measured=OPENMM_MEASURED,
        ),
        Framework(
            name="xtb",
            settings=xtb.XtbModel,
            calculator=xtb.calculator,
            md_core_s=xtb.md_core_s,
            md_measured=XTB_MEASURED,
            variant="method",
        ),
        Framework(
            name="named",
            settings=named.NamedModel,
            given=True,
            calculator=named.calculator,
            md_core_s=named.md_core_s,
            md_measured=named.MD_MEASURED,
            variant="model",
            export=named.EXPORT,
            environment="foundation",
        ),
        Framework(
            name="ase",
            settings=ase.AseModel,
            given=True,
            calculator=ase.calculator,
            md_core_s=ase.md_core_s,
            md_measured=ase.MD_MEASURED,
            export=ase.EXPORT,
        ),
    )
}
