"""The models that a study names: one row each. What runs here without a file of the user's is in packages that the row pins.

Only the plan and the download of weights import this table: what a task needs of a row stands in its settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ase.data import chemical_symbols

from ionmelt.models.settings import PublishedEnergy

# The 89 elements of the Materials Project: up to bismuth, and actinium to plutonium.
MATERIALS = (*chemical_symbols[1:84], *chemical_symbols[89:95])
ORGANIC = ("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "As", "Se", "Br", "I")
OFF = ("H", "C", "N", "O", "F", "P", "S", "Cl", "Br", "I")

# Atoms of which MACE's own tests hold the energies of its releases (ACEsuit/mace, MIT: tests/golden/fixtures and references).
STRUCTURES = {
    "O": ("O", ((0.0, 0.0, 0.0),)),
    "CO": ("CO", ((0.0, 0.0, 0.0), (0.0, 0.0, 0.62))),
    "water": ("OH2OH2OH2", (
        (0.00973393, -0.02920253, 0.11606319), (-0.02195483, 0.75435334, -0.48541198), (-0.02384948, -0.77611055, -0.48273213),
        (2.90675500, 0.36299481, 0.28064688), (2.84459014, 1.15648243, -0.28337594), (2.82626500, -0.39294132, -0.25973253),
        (1.32201099, 2.59823609, -0.31689857), (1.30212991, 3.38121799, -0.94890892), (1.32324612, 1.84669261, -0.92112220),
    )),
}  # fmt: skip
NO_DISPERSION = "none"  # in the training data
ASL = "ASL"


@dataclass(frozen=True)
class NamedModel:
    """A model by its name.

    Attributes
    ----------
    theory : level of theory that it imitates; empty: that of its head, which the study says.
    dispersion : the dispersion correction of its training data.
    d3 : functional whose D3(BJ) may be added to it; None: none may.
    elements, cutoff_A : that it knows, and its cut-off radius (A); None: what its file says.
    framework : of a model folder that is made of it: ``named`` for a calculator of a library.
    calculator, arguments : what makes its calculator, and of what.
    weights_argument : argument that takes the path of its weights; None: the arguments are enough.
    device_argument : argument that takes ``cpu`` or ``cuda``; None: it looks for a GPU itself.
    shipped : weights that a package holds: their path in it, and sha256. Several: the argument takes their folder.
    environment : Python environment or image of this program, which holds `requires`.
    requires : packages at their versions, as they were tried, or as their source was read where `runs_here` is false.
    charge, spin : whether it reads them.
    address, sha256 : where its weights lie, and their digest where the project publishes one.
    published : energies (eV, double precision) of atoms in vacuum that the project publishes, by their name in `STRUCTURES`.
    runs_here : whether it was run by this program; else its row is unverified.
    """

    name: str
    theory: str
    licence: str
    reference: str
    dispersion: str = NO_DISPERSION
    d3: str | None = None
    elements: tuple[str, ...] | None = None
    cutoff_A: float | None = None
    framework: str = "named"
    calculator: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    weights_argument: str | None = None
    device_argument: str | None = None
    shipped: Mapping[str, str] = field(default_factory=dict)
    environment: str = ""
    requires: tuple[str, ...] = ()
    charge: bool = False
    spin: bool = False
    address: str | None = None
    sha256: str | None = None
    published: Mapping[str, float] = field(default_factory=dict)
    runs_here: bool = False
    note: str = ""

    @property
    def needs_file(self) -> bool:
        """Tell whether the user brings its weights."""
        return not self.shipped and (self.framework != "named" or self.weights_argument is not None)

    @property
    def energies(self) -> tuple[PublishedEnergy, ...]:
        """Return its published energies with their atoms."""
        pairs = ((STRUCTURES[name], energy) for name, energy in self.published.items())
        return tuple(
            PublishedEnergy(formula=formula, positions_A=positions, energy_ev=energy)
            for (formula, positions), energy in pairs
        )

    def calculator_fields(self) -> dict[str, Any]:
        """Return what the import of a calculator is told of the row; nothing of one that is a file of MACE or DeePMD."""
        if self.framework != "named":
            return {}
        return {
            "row": self.name,
            "calculator": self.calculator,
            "arguments": dict(self.arguments),
            "weights_argument": self.weights_argument,
            "device_argument": self.device_argument,
            "shipped": dict(self.shipped),
            "elements": list(self.elements) if self.elements else None,
            "cutoff_A": self.cutoff_A,
        }


def sevennet(name: str, theory: str, reference: str, file: str, sha256: str, **more: Any) -> NamedModel:
    """Return the row of a model in the package sevenn."""
    return NamedModel(
        name=name,
        theory=theory,
        licence="MIT",
        reference=reference,
        elements=MATERIALS,
        cutoff_A=5.0,
        calculator="sevenn.calculator.SevenNetCalculator",
        weights_argument="model",
        shipped={f"sevenn/pretrained_potentials/{file}": sha256},
        environment="foundation",
        requires=("sevenn==0.13.0",),
        **more,
    )


def chgnet(name: str, theory: str, reference: str, file: str, sha256: str, **more: Any) -> NamedModel:
    """Return the row of a model in the package chgnet."""
    return NamedModel(
        name=name,
        theory=theory,
        licence="BSD-3-Clause",
        reference=reference,
        elements=MATERIALS,
        cutoff_A=6.0,
        calculator="chgnet.model.dynamics.CHGNetCalculator.from_file",
        arguments={"on_isolated_atoms": "ignore"},
        weights_argument="path",
        device_argument="use_device",
        shipped={f"chgnet/pretrained/{file}": sha256},
        environment="foundation",
        requires=("chgnet==0.4.2",),
        **more,
    )


def mace(name: str, theory: str, licence: str, reference: str, address: str, **more: Any) -> NamedModel:
    """Return the row of a MACE model: its file is opened as every file of MACE."""
    return NamedModel(
        name=name,
        theory=theory,
        licence=licence,
        reference=reference,
        framework="mace",
        environment="mace",
        requires=("mace-torch==0.3.16", *more.pop("beside", ())),
        address=address if address.startswith("https:") else f"https://github.com/ACEsuit/{address}",
        **more,
    )


def library(
    name: str, theory: str, licence: str, reference: str, environment: str, package: str, calculator: str, **more: Any
) -> NamedModel:
    """Return the row of a model whose library has an environment of its own."""
    return NamedModel(
        name=name,
        theory=theory,
        licence=licence,
        reference=reference,
        calculator=calculator,
        environment=environment,
        requires=(package,),
        **more,
    )


MACE_MP, MACE_OFF, OMOL = "arXiv:2401.00096", "arXiv:2312.15211", "arXiv:2505.08762"
SEVENNET, MULTI_FIDELITY = "10.1021/acs.jctc.4c00190", "10.1021/jacs.4c14455"
RELEASES = "mace-mp/releases/download"
FOUNDATIONS = "mace-foundations/releases/download"
OFF_FILES = "https://raw.githubusercontent.com/ACEsuit/mace-off/main"
WB97M = "wB97M-D3(BJ)/def2-TZVPPD"
WB97M_V = "wB97M-V/def2-TZVPD"
# What fairchem calls it; its default compiles, which starts a compiler: a model that is tried may start no program.
UNCOMPILED = {"inference_settings": "batch"}
OFF_NOTE = "neutral organic molecules: ions are outside of what it was made for"
MF_0 = (
    "SevenNet_MF_0/checkpoint_sevennet_mf_0.pth",
    "81791329b37d445f46b531578c182c41792d98c7814222c9e5dde276402225fd",
)

ROWS = (
    # --- In packages: nothing is fetched -----------------------------------------------------------------
    sevennet(
        "sevennet-0", "PBE+U", SEVENNET, "SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
        "7052cb42b7b3be42b40b97fa0d21077a48c54b5548948fc4dcf346629f813c36", d3="PBE", runs_here=True, note="MPtrj, 11 July 2024",
    ),
    sevennet(
        "sevennet-mf-0-pbe", "PBE+U", MULTI_FIDELITY, *MF_0, arguments={"modal": "PBE"}, d3="PBE", runs_here=True, note="head of MPtrj",
    ),
    sevennet(
        "sevennet-mf-0-r2scan", "r2SCAN", MULTI_FIDELITY, *MF_0, arguments={"modal": "R2SCAN"}, d3="r2SCAN", runs_here=True,
        note="head of the r2SCAN data of the Materials Project",
    ),
    sevennet(
        "sevennet-l3i5", "PBE+U", SEVENNET, "SevenNet_l3i5/checkpoint_l3i5.pth",
        "a7ff190d41efe5b8317a03d20a468e4036a1a3e64e0b14fdbab64ac3f4bfc09d", d3="PBE", runs_here=True,
        note="MPtrj; slower than sevennet-0",
    ),
    chgnet(
        "chgnet-0.3.0", "PBE+U", "10.1038/s42256-023-00716-3", "0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar",
        "d14ab7c0f093efe64b60a7bcd540bca10e74fb7f46c86108a079af60524659d1", d3="PBE", runs_here=True, note="MPtrj",
    ),
    chgnet(
        "chgnet-r2scan", "r2SCAN", "arXiv:2504.05565", "r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar",
        "8eba3db0f35a2788bb3ae22885ad340591e27996f213c6643af522a633b50dad", d3="r2SCAN", runs_here=True,
        note="chgnet-0.3.0, tuned on the r2SCAN data of the Materials Project",
    ),
    NamedModel(
        "diep-r2scan", "r2SCAN", "BSD-3-Clause", "Tawfik et al., Digital Discovery 2024; data arXiv:2503.04070", d3="r2SCAN",
        elements=MATERIALS, cutoff_A=5.0, calculator="diep.pretrained.make_calculator", weights_argument="path", device_argument="device",
        shipped={
            "diep/pretrained_models/diep_fold1/model.json": "2158a9a1578fead0471eb08dcc6cd53a4a661053f101b644bea8a30b563cd227",
            "diep/pretrained_models/diep_fold1/model.pt": "3efd7caee45a02d4988b422f9caff18faa37dbdb0cf928324779bacbed1dc1c7",
            "diep/pretrained_models/diep_fold1/state.pt": "3be1df5dbe3d15e1d35a2ca1d3c50a6b212ea2d248c89e02d84fa780eb609576",
        },
        environment="foundation", requires=("diep==2.0.0",), runs_here=True, note="MatPES",
    ),
    # --- Files of MACE and DeePMD: opened as every file of the user's -------------------------------------
    mace(
        "mace-mp-0-small", "PBE+U", "MIT", MACE_MP, f"{RELEASES}/mace_mp_0/2023-12-10-mace-128-L0_energy_epoch-249.model", d3="PBE",
        elements=MATERIALS, sha256="2ddb079cee0e131eaaf6912ba581b394551ead283e95c99cfe78c605d10b5736", note="MPtrj",
        published={"O": -1.8437130124850496, "CO": 72.46332529653526, "water": -42.02255863248949},
    ),
    mace(
        "mace-mpa-0-medium", "PBE+U", "MIT", MACE_MP, f"{RELEASES}/mace_mpa_0/mace-mpa-0-medium.model", d3="PBE", elements=MATERIALS,
        sha256="75428afe3a1d7d8062e19bcaabd5c433623cabf308242ec9fb493e38604fb638", note="MPtrj and sAlex",
        published={"O": -1.54838784, "CO": 42.93011754797856, "water": -41.69248500732122},
    ),
    mace(
        "mace-omat-0-small", "PBE+U", ASL, MACE_MP, f"{RELEASES}/mace_omat_0/mace-omat-0-small.model", d3="PBE", elements=MATERIALS,
        note="OMat24",
    ),
    mace(
        "mace-omat-0-medium", "PBE+U", ASL, MACE_MP, f"{RELEASES}/mace_omat_0/mace-omat-0-medium.model", d3="PBE",
        elements=MATERIALS, note="OMat24",
    ),
    mace(
        "mace-matpes-pbe-0", "PBE", ASL, MACE_MP, f"{FOUNDATIONS}/mace_matpes_0/MACE-matpes-pbe-omat-ft.model", d3="PBE",
        elements=MATERIALS, note="MatPES",
    ),
    mace(
        "mace-matpes-r2scan-0", "r2SCAN", ASL, MACE_MP, f"{FOUNDATIONS}/mace_matpes_0/MACE-matpes-r2scan-omat-ft.model", d3="r2SCAN",
        elements=MATERIALS, note="MatPES",
    ),
    mace(
        "mace-mh-1", "", ASL, "arXiv:2510.25380", f"{FOUNDATIONS}/mace_mh_1/mace-mh-1.model", elements=MATERIALS,
        dispersion="that of the head",
        note="several heads, each of its own level of theory: give head and theory; a head that is not there is refused with the "
        "list of those that are",
    ),
    mace(
        "mace-off23-small", WB97M, ASL, MACE_OFF, f"{OFF_FILES}/mace_off23/MACE-OFF23_small.model", dispersion="D3(BJ)", elements=OFF,
        sha256="165cce4cfec5a34b9c64d4ebf95de15d71106bb584b7291c8470f0749977c46f", note=OFF_NOTE,
        published={"O": -2043.933693071156, "CO": -1185.9835823618835, "water": -6242.961146481345},
    ),
    mace(
        "mace-off23-medium", WB97M, ASL, MACE_OFF, f"{OFF_FILES}/mace_off23/MACE-OFF23_medium.model", dispersion="D3(BJ)",
        elements=OFF, note=OFF_NOTE,
    ),
    mace(
        "mace-off24-medium", WB97M, ASL, MACE_OFF, f"{OFF_FILES}/mace_off24/MACE-OFF24_medium.model", dispersion="D3(BJ)",
        elements=OFF, note=OFF_NOTE,
    ),
    mace(
        "mace-omol-0", WB97M_V, ASL, OMOL, f"{FOUNDATIONS}/mace_omol_0/MACE-omol-0-extra-large-1024.model", dispersion="VV10",
        elements=MATERIALS, charge=True, spin=True, note="OMol25: molecules and clusters, with their charge and spin",
    ),
    mace(
        "mace-polar-1-m", WB97M_V, ASL, "its release page", f"{FOUNDATIONS}/mace_polar_1/MACE-POLAR-1-M.model", dispersion="VV10",
        elements=MATERIALS, charge=True, spin=True, beside=("graph-longrange==0.4.0",),
        note="OMol25, with electrostatics beyond the cut-off; its dynamics are MACE's own calculator, which no faster engine replaces",
    ),
    NamedModel(
        "dpa-3.1-3m", "", "see the release page", "arXiv:2506.01686", dispersion="that of the head", framework="deepmd",
        environment="deepmd", requires=("deepmd-kit==3.2.0",), note="several heads: give head and theory, and the checkpoint (.pt)",
    ),
    # --- Libraries, each with an environment of its own ------------------------------------------------------------------
    library(
        "uma-s-omol", WB97M_V, "FAIR Chemistry License", "arXiv:2506.23971", "fairchem", "fairchem-core==2.24.0",
        "fairchem.core.FAIRChemCalculator.from_model_checkpoint", arguments={"task_name": "omol", **UNCOMPILED},
        weights_argument="name_or_path", device_argument="device", dispersion="VV10", charge=True, spin=True, note="the checkpoint of UMA, its task of molecules",
    ),
    library(
        "uma-s-omc", "PBE-D3(BJ)", "FAIR Chemistry License", "arXiv:2506.23971", "fairchem", "fairchem-core==2.24.0",
        "fairchem.core.FAIRChemCalculator.from_model_checkpoint", arguments={"task_name": "omc", **UNCOMPILED},
        weights_argument="name_or_path", device_argument="device", dispersion="D3(BJ)", note="the checkpoint of UMA, its task of molecular crystals",
    ),
    library(
        "orb-v3-conservative-inf-omat", "PBE+U", "Apache-2.0", "arXiv:2504.06231", "orb", "orb-models==0.7.0",
        "ionmelt.models.frameworks.made.orb_v3", arguments={"model": "orb_v3_conservative_inf_omat"}, weights_argument="weights",
        device_argument="device", d3="PBE", elements=MATERIALS, note="OMat24; Python 3.12",
    ),
    library(
        "pet-mad-s", "r2SCAN", "BSD-3-Clause", "arXiv:2503.14118", "upet", "upet==0.3.1", "upet.ase.UPETCalculator", d3="r2SCAN",
        weights_argument="checkpoint_path", device_argument="device", note="PET-MAD 1.5 and later; 1.0 imitates PBEsol",
    ),
    library(
        "mattersim-v1-5m", "PBE+U", "MIT", "arXiv:2405.04967", "mattersim", "mattersim==1.2.5",
        "mattersim.forcefield.MatterSimCalculator.from_checkpoint", weights_argument="load_path", device_argument="device",
        arguments={"load_training_state": False}, d3="PBE", elements=MATERIALS, note="Python 3.12",
    ),
    library(
        "nequix-mp-1", "PBE+U", "MIT", "arXiv:2508.16067", "nequix", "nequix==0.4.5", "nequix.calculator.NequixCalculator", d3="PBE",
        weights_argument="model_path", elements=MATERIALS, note="MPtrj",
        address="https://github.com/atomicarchitects/nequix/raw/7c2854de8e754b1a60274c7d9d2e014989ed632e/models/nequix-mp-1.nqx",
    ),
    library(
        "aimnet2", "wB97M-D3(BJ)/def2-TZVPP", "MIT", "10.1039/D4SC08572H", "aimnet", "aimnet==0.2.5", "aimnet.calculators.AIMNet2ASE",
        weights_argument="base_calc", dispersion="D3(BJ)", elements=ORGANIC, charge=True, spin=True,
        note="molecules, with their charge",
    ),
    library(
        "grace-1l-oam", "PBE+U", ASL, "10.1103/PhysRevX.14.021036", "grace", "tensorpotential==0.6.2.1",
        "tensorpotential.calculator.foundation_models.grace_fm", arguments={"model": "GRACE-1L-OAM"}, d3="PBE", elements=MATERIALS,
        note="its files lie where grace_models download GRACE-1L-OAM puts them: tasks fetch nothing",
    ),
)  # fmt: skip

NAMED: dict[str, NamedModel] = {row.name: row for row in ROWS}
