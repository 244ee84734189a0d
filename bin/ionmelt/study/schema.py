"""The study file: what a user may write, in which units and within which bounds.

The pydantic models below are the one definition: `studies/schema.json` is made from them, and `read_draft`
turns every departure from them into one line that names the field, the value and what would be right. What
needs more than one field to judge (charges, boxes, datasets) is in `plan_study.py`.
"""

import json
import math
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    model_validator,
)

from ionmelt.study.words import brief, is_number
from ionmelt.theory import DEFAULTS, FITTED, MAX_FRAME_S, POTENTIALS, QUALITIES, THEORIES, complete

# --- The vocabulary ------------------------------------------------------------------------------------


def refuse_boolean(value: Any) -> Any:
    """Refuse true and false where a number is meant: Python would count them as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is not a number")
    return value


Real = Annotated[float, BeforeValidator(refuse_boolean)]
Count = Annotated[int, BeforeValidator(refuse_boolean)]
# No hyphen: keys such as LIQUID-r1 and MODEL-DATASET-s1 stay unambiguous.
Key = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.]*$", max_length=40)]


# No character that a shell, a list of files or a pattern of names gives a meaning to.
def finite(value: Any) -> Any:
    """Refuse what is not a finite number wherever it stands in plain data: no JSON file could hold it."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in inner:
        finite(part)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{brief(value)} is not a number")
    return value


PATH = r"""^[^\x00-\x1f\x7f"'`$;&|<>*?()\[\]{}!\\#,]+$"""
Path_ = Annotated[str, Field(min_length=1, max_length=1000, pattern=PATH)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
SHA256 = r"^[0-9a-f]{64}$"
Sha256 = Annotated[str, Field(pattern=SHA256)]


def number(default: Any, low: float, high: float, description: str) -> Any:
    """Return a field for a finite number from `low` to `high`; `...` as the default makes it required."""
    return Field(default, ge=low, le=high, allow_inf_nan=False, description=description)


def count(default: Any, low: int, high: int, description: str) -> Any:
    """Return a field for a whole number from `low` to `high`; `...` as the default makes it required."""
    return Field(default, ge=low, le=high, description=description)


def between(low: float, high: float) -> Any:
    """Return the bounds of one number of a list."""
    return Field(ge=low, le=high, allow_inf_nan=False)


def auto_or_number(value: Any) -> str:
    """Return which of the two a field that may be ``auto`` holds."""
    return "auto" if isinstance(value, str) and not is_number(value) else "number"


class Section(BaseModel):
    """A section of the study file: unknown fields are refused, values do not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


# --- The liquid ----------------------------------------------------------------------------------------


class IonSmiles(Section):
    """An ion that assets/ions does not hold."""

    smiles: Text = Field(description="SMILES of the whole ion with its charge, such as C[N+](C)(C)C")
    count: Annotated[Count, count(..., 1, 10_000, "how many of it a box holds")]


def ion_form(value: Any) -> str:
    """Return which of the two ways of giving an ion this is."""
    return "smiles" if isinstance(value, dict | IonSmiles) else "count"


Ion = Annotated[
    Annotated[Count, count(..., 1, 10_000, "how many a box holds"), Tag("count")] | Annotated[IonSmiles, Tag("smiles")],
    Discriminator(ion_form),
]


class Liquid(Section):
    """A liquid: its ions, and the conditions that it is simulated at."""

    id: Key = Field(description="name of the liquid in every table: small letters, digits, _ and .")
    ions: dict[Key, Ion] = Field(
        min_length=1,
        max_length=20,
        description="ions of one box: a name from assets/ions with a count, or a name of your own with "
        "{smiles: ..., count: ...}; the charges must sum to zero",
    )
    temperatures_K: tuple[Annotated[Real, between(100, 3000)], ...] = Field(
        min_length=1, max_length=50, description="temperatures to simulate at (K)"
    )
    pressure_bar: Real = number(1.0, -5000, 20_000, "pressure (bar)")
    density_guess_kg_m3: Real = number(
        1200.0, 100, 10_000, "rough density (kg/m3): sizes the packed box; equilibration finds the real one"
    )
    force_field: Path_ = Field(
        "clandp",
        description="force field that equilibrates the box: clandp (its ions must be typed), xtb "
        "(GFN1-xTB: any ion, thousands of times slower: give the equilibration short times), or the path of an OpenMM "
        "force-field XML file",
    )


# --- Equilibration and sampling ------------------------------------------------------------------------


class Equilibration(Section):
    """The classical run that gives every model the same start, and the EQ frames."""

    timestep_fs: Annotated[
        Annotated[Literal["auto"], Tag("auto")]
        | Annotated[Real, Field(ge=0.05, le=4, allow_inf_nan=False), Tag("number")],
        Discriminator(auto_or_number),
    ] = Field(
        default="auto",
        description="time step (fs); auto is 2 fs, or 1 fs where the force field is xtb, whose bonds to hydrogen are not held",
    )
    cutoff_A: Annotated[
        Annotated[Literal["auto"], Tag("auto")]
        | Annotated[Real, Field(ge=3, le=20, allow_inf_nan=False), Tag("number")],
        Discriminator(auto_or_number),
    ] = Field(
        default="auto",
        description="non-bonded cut-off (A); auto is 9 A, or 0.42 of the box edge where that is less",
    )
    anneal_K: Real = number(600.0, 100, 3000, "temperature of the first, hot part (K)")
    anneal_ps: Real = number(60.0, 0, 1e6, "length of the hot part (ps)")
    cool_ps: Real = number(100.0, 0, 1e6, "time to cool to the liquid's temperature (ps)")
    settle_ps: Real = number(50.0, 0, 1e6, "time at the liquid's temperature that is discarded (ps)")
    production_ps: Real = number(200.0, 0.01, 1e7, "time that EQ frames and the classical density are taken from (ps)")
    save_every_ps: Real = number(0.5, 0.001, 1e4, "time between saved frames (ps)")


class EqFrames(Section):
    """Frames of the equilibrated liquid."""

    frames: Count = count(..., 1, 1_000_000, "frames for each liquid and temperature")


class VolumeScan(Section):
    """Boxes scaled with rigid ions: what fixes the density."""

    frames: Count = count(..., 1, 1_000_000, "frames for each liquid")
    scale_min: Real = number(0.94, 0.7, 1.5, "smallest factor on the box edge")
    scale_max: Real = number(1.12, 0.7, 2, "largest factor on the box edge")


class Oscillation(Section):
    """Classical runs whose temperature and box swing."""

    frames: Count = count(..., 1, 1_000_000, "frames for each liquid")
    length_ps: Real = number(20.0, 0.01, 1e5, "length of the run (ps)")
    period_ps: Real = number(5.0, 0.01, 1e5, "period of the swing (ps)")
    temperature_amplitude_K: Real = number(150.0, 0, 1500, "amplitude of the temperature (K)")
    box_amplitude: Real = number(0.06, 0, 0.3, "amplitude of the box edge, as a fraction of it")


class Packing(Section):
    """Random packings, dilute to dense, strained."""

    frames: Count = count(..., 1, 1_000_000, "frames for each liquid")
    density_min_fraction: Real = number(0.5, 0.02, 2, "lowest density, as a fraction of the equilibrium density")
    density_max_fraction: Real = number(1.1, 0.02, 2, "highest density, as a fraction of the equilibrium density")
    strain: Real = number(0.05, 0, 0.3, "largest strain of the cell")


class Rattle(Section):
    """Equilibrium frames with every atom displaced at random."""

    frames: Count = count(..., 1, 1_000_000, "frames for each liquid")
    sigma_A: Real = number(0.04, 0.001, 0.5, "standard deviation of each coordinate's displacement (A)")


class Clusters(Section):
    """Neutral clusters of ions cut from the liquid, with room around them."""

    frames: Count = count(..., 1, 1_000_000, "frames for each liquid")
    pairs_max: Count = count(2, 1, 20, "largest clusters: so many pairs of ions, or more where charges ask for it")
    vacuum_A: Real = number(8.0, 4, 30, "room between a cluster and its images (A)")


class Ions(Section):
    """Ions alone, each kind in turn, labelled in empty space with their charge."""

    frames: Count = count(..., 1, 1_000_000, "frames for each liquid (of an ion that is one atom: one)")
    vacuum_A: Real = number(10.0, 8, 30, "room around an ion (A): no less than a model's cut-off")


class NeqRecipes(Section):
    """Non-equilibrated frames: each recipe is left out where it is not named."""

    volume_scan: VolumeScan | None = Field(default=None, description="boxes scaled with rigid ions")
    oscillation: Oscillation | None = Field(default=None, description="runs whose temperature and box swing")
    packing: Packing | None = Field(default=None, description="strained random packings")
    rattle: Rattle | None = Field(default=None, description="displaced equilibrium frames")
    clusters: Clusters | None = Field(default=None, description="neutral clusters alone in a box")
    ions: Ions | None = Field(default=None, description="single ions in empty space")


class TestScan(Section):
    """A volume scan with frozen ions that is kept out of all training, of a liquid at its lowest temperature: the density's own test."""

    scales: tuple[Annotated[Real, between(0.7, 2)], ...] = Field(
        default=(0.94, 0.96, 0.98, 1.0, 1.02, 1.04, 1.08, 1.12),
        min_length=3,
        max_length=200,
        description="factors on the box edge; 1.0 must be one of them",
    )


class Sampling(Section):
    """Which frames are taken to be labelled."""

    eq: EqFrames | None = Field(default=None, description="equilibrated frames (kind eq)")
    neq: NeqRecipes = Field(default_factory=NeqRecipes, description="non-equilibrated frames (kind neq), by recipe")
    test_scan: TestScan | None = Field(
        default_factory=TestScan, description="frozen-ion volume scan, always in the test split"
    )
    pool: Count = count(
        1, 1, 100, "frames made for each one that is taken: those are taken that differ most (1: all that are made)"
    )
    seed: Count = count(1, 0, 2**31 - 1, "seed of every random choice of the sampling")


class Active(Section):
    """Active learning, a round a run (--previous): committees of the round before explore, and say which frames are missing."""

    frames: Count = count(8, 1, 100_000, "new frames that a round labels of each liquid, at most")
    npt_ps: Real = number(5.0, 0, 1e5, "length of a committee's walk at constant pressure and temperature (ps)")
    ramp_ps: Real = number(5.0, 0, 1e5, "length of its walk at constant volume, in which the temperature rises (ps)")
    ramp_K: Real = number(200.0, 0, 2000, "how much it rises (K)")
    swing_ps: Real = number(
        5.0, 0, 1e5, "length of its walk at constant temperature in which the box swings once, out and in (ps)"
    )
    swing_amplitude: Real = number(0.06, 0, 0.2, "amplitude of the box edge, as a fraction of it")
    every_fs: Real = number(20.0, 0.05, 1e6, "time between the frames of a walk that the committee is asked about (fs)")
    quantile: Real = number(
        0.9,
        0,
        1,
        "a frame is worth a label where the committee disagrees more than on this share of its validation frames",
    )
    stop_factor: Real = number(3.0, 1, 100, "a walk stops where it disagrees by this many times as much as that")
    seed: Count = count(1, 0, 2**31 - 1, "seed of the walks")

    @property
    def lengths_ps(self) -> dict[str, float]:
        """The length of each walk (ps), by the name of its field."""
        return {"npt_ps": self.npt_ps, "ramp_ps": self.ramp_ps, "swing_ps": self.swing_ps}


# --- Labels --------------------------------------------------------------------------------------------


class LabelTasks(Section):
    """What every engine shares."""

    chunk: Annotated[
        Annotated[Literal["auto"], Tag("auto")] | Annotated[Count, Field(ge=1, le=10_000), Tag("number")],
        Discriminator(auto_or_number),
    ] = Field(
        default="auto",
        description="frames labelled by one task, along a path from neighbour to neighbour; auto: about half an hour's "
        "worth, and 200 tasks at most for the study",
    )
    max_frame_s: Real = number(MAX_FRAME_S, 1, 1e7, "longest time that one frame may take, all attempts together (s)")
    spot_check_fraction: Real = number(
        0.02,
        0,
        1,
        "share of the frames that are labelled again from a cold start, to see that the guess changes nothing",
    )
    max_failed_fraction: Real = number(0.05, 0, 1, "share of failed labels above which the run stops")


class XtbLabels(LabelTasks):
    """Semi-empirical labels (tblite): for trying things out, not a reference."""

    engine: Literal["xtb"] = Field(description="xtb: semi-empirical, by tblite")
    method: Literal["GFN1-xTB", "GFN2-xTB"] = Field("GFN1-xTB", description="the Hamiltonian")
    accuracy: Real = number(0.1, 1e-4, 10, "tblite's accuracy factor: smaller is tighter")
    max_iterations: Count = count(250, 10, 10_000, "most SCF iterations of one frame")
    electronic_temperature_K: Real = number(300.0, 0, 10_000, "electronic temperature (K)")


THEORY_NAMES, FUNCTIONALS = tuple(THEORIES), tuple(POTENTIALS)
NAMED = {"theory": THEORY_NAMES, "quality": QUALITIES, "functional": FUNCTIONALS}
BY_NAME = ("functional", "dispersion", "basis", "potential", "cutoff_Ry", "rel_cutoff_Ry", "eps_scf")


def need_no_more_than_names(schema: dict[str, Any]) -> None:
    """Say in the JSON schema that the settings are needed only where no theory and quality name them."""
    by_hand = [name for name in schema["required"] if name in BY_NAME]
    schema["required"] = [name for name in schema["required"] if name not in BY_NAME]
    schema["anyOf"] = [
        {"required": ["theory"]},
        {"required": ["functional", "dispersion", "quality"]},
        {"required": by_hand},
    ]


class DftLabels(LabelTasks):
    """Density functional theory, by name or setting by setting; the plan holds every setting that changes the energy."""

    model_config = ConfigDict(json_schema_extra=need_no_more_than_names)

    theory: Literal[THEORY_NAMES] | None = Field(  # type: ignore[valid-type]
        default=None,
        description="level of theory by name: sets functional and dispersion; a setting given beside it wins",
    )
    quality: Literal[QUALITIES] | None = Field(  # type: ignore[valid-type]
        default=None,
        description="sets potential, basis, cut-offs and eps_scf: economy, or production (where a theory is named and "
        "this is left out); a setting given beside it wins",
    )
    functional: Literal[FUNCTIONALS] = Field(description="exchange-correlation functional")  # type: ignore[valid-type]
    dispersion: Literal["none", "D3", "D3(BJ)", "D4"] = Field(description="dispersion correction; a liquid needs one")
    basis: Text = Field(description="orbital basis, such as DZVP-MOLOPT-SR-GTH")
    potential: Text = Field(description="pseudopotentials that fit functional and basis, such as GTH-PBE")
    cutoff_Ry: Real = number(..., 50, 5000, "plane-wave cut-off of the density (Ry)")
    eps_scf: Real = number(..., 1e-12, 1e-4, "convergence of the SCF (Ha)")

    @model_validator(mode="before")
    @classmethod
    def spell_out(cls, raw: Any) -> Any:
        """Put the settings in place of the names; of a name that is wrong, only the name itself is then a mistake."""
        if not isinstance(raw, dict):
            return raw
        engine = get_args(cls.model_fields["engine"].annotation)[0]
        asked = {**raw, "engine": engine}
        stand_in = {"theory": "PBE-D3(BJ)", "quality": "production", "functional": "PBE"}
        for name, known in NAMED.items():
            value = asked.get(name)
            if value is not None and (value not in known or (name == "theory" and engine in THEORIES[value].refused)):
                asked[name] = stand_in[name]
        return complete(asked) | raw


class Cp2kLabels(DftLabels):
    """DFT by CP2K (Quickstep)."""

    engine: Literal["cp2k"] = Field(description="cp2k: DFT by CP2K")
    rel_cutoff_Ry: Real = number(..., 10, 500, "cut-off of the multigrid's reference Gaussian (Ry)")
    multigrids: Count = count(DEFAULTS["cp2k"]["multigrids"], 1, 10, "grids of the multigrid")
    eps_default: Real = number(
        DEFAULTS["cp2k"]["eps_default"], 1e-20, 1e-8, "CP2K's EPS_DEFAULT: accuracy of every integral"
    )
    dispersion_cutoff_A: Real = number(DEFAULTS["cp2k"]["dispersion_cutoff_A"], 5, 60, "radius of the pairs of D3 (A)")


class PyscfLabels(DftLabels):
    """DFT by PySCF (GTH pseudopotentials, gamma point), on a GPU by GPU4PySCF."""

    engine: Literal["pyscf"] = Field(description="pyscf: DFT by PySCF")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where it runs; auto: a GPU if there is one")


class OwnLabels(Section):
    """Labels that you already have: nothing is sampled or labelled."""

    frames: Annotated[
        Annotated[Path_, Tag("path")] | Annotated[tuple[Path_, ...], Field(min_length=1), Tag("paths")],
        Discriminator(lambda value: "paths" if isinstance(value, list | tuple) else "path"),
    ] = Field(
        description="file or folder, or list of them, of labelled frames; of a folder every file is taken whose format "
        "is known, also compressed (.gz, .bz2, .xz). Files of one trajectory in their order; a CP2K run of dynamics is its "
        "output with PROJECT-pos-1.xyz, PROJECT-frc-1.xyz and PROJECT-1.stress (with PROJECT-vel-1.xyz) where the output "
        "does not hold forces and stress, and PROJECT-1.cell where the cell changes"
    )
    theory: Text = Field(description="name of the level of theory, such as 'PBE-D3(BJ)/TZV2P, CP2K 2025.1'")
    format: Literal[
        "auto", "extxyz", "cp2k", "vasp-out", "vasp-xml", "espresso-out", "deepmd-npy", "ase-traj", "ase-db"
    ] = Field("auto", description="format of the files; auto tells it from how each begins")
    energy_key: Text | None = Field(None, description="extxyz: name of the energy; left out, the only one like it")
    forces_key: Text | None = Field(None, description="extxyz: name of the forces; left out, the only one like it")
    stress_key: Text | None = Field(None, description="extxyz: name of the stress; left out, the only one like it")
    virial_key: Text | None = Field(
        None, description="extxyz: name of the virial, stress times volume in energy_unit, in place of stress_key"
    )
    energy_unit: Literal["eV", "Ha", "Ry", "kcal/mol", "kJ/mol"] | None = Field(
        None, description="extxyz: unit of energies; left out, what the files say (energy-unit=...), else eV"
    )
    forces_unit: Literal["eV/A", "Ha/Bohr", "Ry/Bohr", "kcal/mol/A", "kJ/mol/nm"] | None = Field(
        None, description="extxyz: unit of forces; left out, what the files say (force-unit=...), else eV/A"
    )
    stress_unit: Literal["eV/A^3", "GPa", "kbar", "bar", "Ha/Bohr^3"] | None = Field(
        None, description="extxyz: unit of the stress; left out, what the files say (stress-unit=...), else eV/A^3"
    )
    stress_order: Literal["xx yy zz yz xz xy", "xx yy zz xy yz zx"] | None = Field(
        None,
        description="extxyz: which the six numbers of a stress are, where it has six; left out, xx yy zz yz xz xy (ASE's); "
        "VASP's is xx yy zz xy yz zx",
    )
    stress_sign: Literal["tension", "compression"] | None = Field(
        None,
        description="extxyz: what a positive number means; left out, tension for a stress (as in ASE) and compression "
        "for a virial",
    )
    kind: Literal["eq", "neq"] = Field("eq", description="kind of the frames that do not say theirs in kind_key")
    kind_key: Text = Field("kind", description="extxyz: name of the kind, eq or neq")
    group_key: Text | None = Field(
        None,
        description="extxyz: name of what says which trajectory a frame is from (left out, group where frames have it, "
        "else blocks of neighbouring frames): the split never cuts such a group",
    )
    max_net_force_eV_A: Real = number(
        0.05,
        0,
        10,
        "largest |sum of the forces| of a frame (eV/A), over the square root of its number of atoms; where it is above "
        "0.05, the mean is taken off every force",
    )
    max_failed_fraction: Real = number(0.05, 0, 1, "share of unusable frames above which the run stops")

    def paths(self) -> tuple[str, ...]:
        """Return the files, be they one or several."""
        return (self.frames,) if isinstance(self.frames, str) else self.frames


def labels_form(value: Any) -> Any:
    """Return which kind of labels section this is."""
    if isinstance(value, dict):
        return "frames" if "frames" in value else value.get("engine")
    return "frames" if isinstance(value, OwnLabels) else getattr(value, "engine", None)


Labels = Annotated[
    Annotated[XtbLabels, Tag("xtb")]
    | Annotated[Cp2kLabels, Tag("cp2k")]
    | Annotated[PyscfLabels, Tag("pyscf")]
    | Annotated[OwnLabels, Tag("frames")],
    Discriminator(labels_form),
]


class Split(Section):
    """How the frames are divided; whole groups (trajectories) always stay together."""

    valid: Real = number(0.1, 0.01, 0.5, "share of the groups that stops and selects the training")
    test: Real = number(0.1, 0.01, 0.5, "share of the groups that no training sees")
    near: Real = number(
        0.05, 0, 0.2, "share of the training frames kept back to show how much better a random split would look"
    )
    seed: Count = count(1, 0, 2**31 - 1, "seed of the division")


# --- Models --------------------------------------------------------------------------------------------


class AnyModel(Section):
    """What every model shares."""

    id: Key = Field(description="name of the model in every table: small letters, digits, _ and .")


D3BJ_FUNCTIONALS = FITTED["D3(BJ)"]


class AddedDispersion(Section):
    """D3(BJ), two-body, by simple-dftd3: for a model that imitates a functional without dispersion."""

    functional: Literal[D3BJ_FUNCTIONALS] = Field(  # type: ignore[valid-type]
        description="functional that the model imitates: its D3(BJ) parameters are used"
    )
    cutoff_A: Real = number(
        16.0, 8, 40, "radius of the pairs (A); they are switched off smoothly over the last 2 A, so that energy is kept"
    )


class OwnModel(AnyModel):
    """What a model that comes from elsewhere may say of itself."""

    theory: Text | None = Field(
        default=None,
        description="level of theory that the weights imitate, such as PBE: compared with that of the labels",
    )
    dispersion: AddedDispersion | None = Field(
        default=None, description="D3(BJ) added to a zero-shot model without dispersion, such as {functional: PBE}"
    )


class LearnedModel(OwnModel):
    """A model that is trained here, or comes as weights."""

    datasets: tuple[Key, ...] | None = Field(
        default=None,
        min_length=1,
        description="datasets to train on, one model for each; left out, all of them",
    )
    weights: Path_ | None = Field(default=None, description="file of weights to start from or to use as they are")
    sha256: Sha256 | None = Field(default=None, description="sha256 of the weights: checked before they are opened")
    licence: Text | None = Field(default=None, description="licence of the weights, such as MIT")
    head: Text | None = Field(default=None, description="head (branch) of weights that have several")
    theory_change: bool = Field(
        False, description="fine-tune on labels of another level of theory than the weights imitate, knowing it"
    )


def weight(description: str, share: str) -> Any:
    """Return a field for a weight of the loss; `share` of the gradient is what it begins with where all are left open."""
    return Field(default="auto", description=f"{description}; auto: from the data, for {share} of the gradient")


LossWeight = Annotated[
    Annotated[Literal["auto"], Tag("auto")] | Annotated[Real, Field(ge=0, le=1e9, allow_inf_nan=False), Tag("number")],
    Discriminator(auto_or_number),
]


class MaceModel(LearnedModel):
    """A MACE model."""

    framework: Literal["mace"] = Field(description="mace")
    mode: Literal["zero-shot", "finetune", "replay", "lora"] | None = Field(
        default=None,
        description="use of the weights: as they are; fine-tuned; fine-tuned along with replay_frames, in a head of their "
        "own; or changed by matrices of low rank alone",
    )
    replay_frames: Path_ | None = Field(
        default=None, description="extxyz of the foundation model's own data (mode replay)"
    )
    replay_per_frame: Real = number(4.0, 0.01, 1e4, "replayed frames for each training frame, at most (mode replay)")
    freeze: Literal["none", "embedding", "interactions", "products"] = Field(
        default="none", description="part of weights up to which they stay as they are (modes finetune and replay)"
    )
    lora_rank: Count = count(4, 1, 1024, "rank of the changes (mode lora)")
    channels: Count = count(128, 1, 2048, "feature channels")
    max_L: Count = count(1, 0, 4, "highest order of the equivariant messages")
    r_max_A: Real = number(6.0, 2, 15, "cut-off radius (A)")
    interactions: Count = count(2, 1, 4, "message-passing layers")
    max_ell: Count = count(3, 1, 6, "highest order of the spherical harmonics of an edge")
    correlation: Count = count(3, 1, 4, "body order of the messages, less one")
    epochs: Count = count(200, 1, 1_000_000, "passes over the training frames")
    batch_size: Count = count(5, 1, 10_000, "frames in a gradient step")
    learning_rate: Real | None = number(
        None, 1e-7, 1, "first learning rate; left out, 0.01, or 0.001 (lora: 0.005) where weights are tuned"
    )
    final_learning_rate: Real | None = number(
        None, 1e-10, 1, "last learning rate, reached exponentially; left out, a fiftieth of the first"
    )
    energy_weight: LossWeight = weight("weight of the energy (per atom, squared) in the loss", "a sixth")
    forces_weight: LossWeight = Field(default="auto", description="weight of the forces in the loss; auto is 100")
    stress_weight: LossWeight = weight("weight of the stress in the loss, on which the density depends", "a third")
    dtype: Literal["float32", "float64"] = Field("float32", description="precision of training and MD")


class DeepmdModel(LearnedModel):
    """A DeePMD model."""

    framework: Literal["deepmd"] = Field(description="deepmd")
    mode: Literal["zero-shot", "finetune"] | None = Field(
        default=None, description="use of the weights: as they are, or fine-tuned (a checkpoint; DPA-2 and DPA-3 too)"
    )
    descriptor: Literal["se_e2_a"] = Field("se_e2_a", description="descriptor; weights bring their own")
    rcut_A: Real = number(6.0, 2, 15, "cut-off radius (A)")
    rcut_smth_A: Real = number(0.5, 0, 14.9, "radius where the cut-off begins to smooth (A)")
    neurons: tuple[Annotated[Count, Field(ge=1, le=4096)], ...] = Field(
        (25, 50, 100), min_length=1, max_length=10, description="widths of the embedding net's layers"
    )
    axis_neurons: Count = count(16, 1, 1024, "width of the descriptor's axis; at most the last of neurons")
    fitting_neurons: tuple[Annotated[Count, Field(ge=1, le=4096)], ...] = Field(
        (240, 240, 240), min_length=1, max_length=10, description="widths of the fitting net's layers"
    )
    steps: Count = count(400_000, 1, 100_000_000, "gradient steps")
    batch_size: Count = count(1, 1, 10_000, "frames in a gradient step")
    learning_rate: Real = number(0.001, 1e-7, 1, "first learning rate; it falls exponentially over the steps")
    final_learning_rate: Real | None = number(None, 1e-10, 1, "last learning rate; left out, a hundredth of the first")
    # From its start to its limit each weight goes as the learning rate does: limit + (start - limit) * rate / first rate.
    start_pref_e: LossWeight = weight("weight of the energy in the loss at the start", "a sixth")
    limit_pref_e: LossWeight = weight("weight of the energy as the learning rate nears zero", "a sixth")
    start_pref_f: LossWeight = Field(default="auto", description="weight of the forces at the start; auto is 1")
    limit_pref_f: LossWeight = Field(
        default="auto", description="weight of the forces as the learning rate nears zero; auto is 1"
    )
    start_pref_v: LossWeight = weight("weight of the virial at the start, on which the density depends", "a third")
    limit_pref_v: LossWeight = weight("weight of the virial as the learning rate nears zero", "a third")


class ClassicalModel(AnyModel):
    """The liquid's own classical force field, as a baseline."""

    framework: Literal["classical"] = Field(description="classical: the force field of each liquid")


class XtbModel(AnyModel):
    """A semi-empirical method as a model."""

    framework: Literal["xtb"] = Field(description="xtb: MD by the semi-empirical method itself")
    method: Literal["GFN1-xTB", "GFN2-xTB"] = Field("GFN1-xTB", description="the Hamiltonian")
    accuracy: Real = number(0.1, 1e-4, 10, "tblite's accuracy factor: smaller is tighter")


IMAGE = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$"
FOLDER = r"^[A-Za-z0-9._/+-]+$"
CLASS = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"
PLAIN_DATA = "true, false, numbers, texts, and lists and sections of them"


class AseModel(OwnModel):
    """Any ASE calculator, in an environment of your own; it is first imported by its own task, not by the plan."""

    framework: Literal["ase"] = Field(description="ase: a calculator class of any Python library")
    calculator: Annotated[str, Field(pattern=CLASS, max_length=200)] = Field(
        description="dotted name of a subclass of ASE's Calculator, such as tblite.ase.TBLite, or of a class method that "
        "makes one"
    )
    arguments: dict[str, Annotated[JsonValue, AfterValidator(finite)]] = Field(
        {}, max_length=50, description=f"arguments of the calculator, by name: {PLAIN_DATA}"
    )
    weights: Path_ | None = Field(default=None, description="file of weights that the calculator loads")
    weights_argument: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$", max_length=100)] | None = Field(
        default=None, description="name of the argument that takes the path of the weights"
    )
    sha256: Sha256 | None = Field(default=None, description="sha256 of the weights: checked before they are opened")
    licence: Text | None = Field(default=None, description="licence of the model, such as MIT")
    image: Annotated[str, Field(pattern=IMAGE, max_length=300)] | None = Field(
        default=None,
        description="container image with the library, Python 3.11 or newer, ase, numpy, polars and mdtraj; left out, that "
        "of the analysis",
    )
    environment: Annotated[str, Field(pattern=FOLDER, max_length=300)] | None = Field(
        default=None,
        description="where no containers run: folder of a Python environment with the same, or analysis, dft, mace or "
        "deepmd; left out, analysis",
    )


Model = Annotated[MaceModel | DeepmdModel | ClassicalModel | XtbModel | AseModel, Field(discriminator="framework")]


# --- The study -----------------------------------------------------------------------------------------


class Md(Section):
    """The molecular dynamics that every model runs alike."""

    timestep_fs: Real = number(0.5, 0.05, 4, "time step (fs)")
    npt_ps: Real = number(100.0, 0.001, 1e6, "length of the run at constant pressure, for the density (ps)")
    nvt_ps: Real = number(1000.0, 0, 1e6, "length of the run at constant volume, for diffusion and structure (ps)")
    replicas: Count = count(1, 1, 100, "independent boxes of each liquid and temperature")
    thermostat_fs: Real = number(100.0, 1, 1e5, "time constant of the thermostat (fs)")
    barostat_fs: Real = number(500.0, 10, 1e6, "time constant of the barostat (fs)")
    save_every_fs: Real = number(20.0, 0.05, 1e6, "time between saved frames (fs)")
    max_trajectory_mb: Real = number(
        1000.0,
        0.001,
        1e7,
        "most that a run's trajectories may take (MB): frames are saved less often where they would take more",
    )
    engine: Literal["auto", "plain", "direct", "fused", "cueq", "symmetrix", "openmm"] = Field(
        default="auto",
        description="what computes a learned model's forces: auto tries what is there for a few steps and takes the fastest "
        "whose forces are those of the plain calculator. A name holds for the models whose framework has it. openmm: a "
        "classical model is run by OpenMM with its own integrators, for large boxes (time step above 1 fs: bonds to "
        "hydrogen are fixed)",
    )
    batch: Count = count(
        1, 1, 64, "replicas of a model that run together, in one call of the model a step; more than 1 is for GPUs"
    )
    segment_ps: Real = number(
        0.5,
        1e-4,
        1e4,
        "length of the segments that a run goes in (ps), made up to whole intervals between saved frames: what a kill may cost; "
        "a checkpoint follows each",
    )


class Study(Section):
    """A study for Ionmelt: liquids, labels, models and the molecular dynamics that compares them."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=60)] = Field(
        "study", description="name of the study: small letters, digits, _, . and -"
    )
    description: str | None = Field(default=None, max_length=2000, description="what the study is for, in a sentence")
    liquids: tuple[Liquid, ...] = Field(min_length=1, max_length=200, description="liquids to study")
    equilibration: Equilibration = Field(
        default_factory=Equilibration, description="the classical run that all models start from"
    )
    sampling: Sampling | None = Field(
        default=None, description="frames to label; needed to train, unless labels.frames"
    )
    labels: Labels | None = Field(default=None, description="level of theory of the labels; needed to train")
    datasets: dict[Key, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(
        {},
        max_length=50,
        description="named mixtures of kinds to train on, such as {eq: [eq], both: [eq, neq]}; -LIQUID leaves a liquid out, "
        "to see whether a model knows it without having been trained on it",
    )
    sizes: tuple[Annotated[Count, Field(ge=1, le=1_000_000)], ...] = Field(
        (),
        max_length=20,
        description="learning curves: numbers of training frames that each dataset is cut to, besides all of them; the "
        "frames that differ most are kept",
    )
    split: Split = Field(default_factory=Split, description="division into training, validation and test")
    active: Active | None = Field(
        default=None,
        description="active learning: what a round (--previous) adds to datasets with the kind active, such as {al: [eq, active]}",
    )
    models: tuple[Model, ...] = Field(min_length=1, max_length=100, description="models to compare")
    heldout_frames: Path_ | None = Field(
        default=None,
        description="labelled frames of other chemistry (extxyz with REF_energy, REF_forces, REF_stress), at the level of "
        "the weights: tells what a fine-tuned model has lost",
    )
    seeds: tuple[Annotated[Count, Field(ge=0, le=2**31 - 1)], ...] = Field(
        (1,),
        min_length=1,
        max_length=100,
        description="every learned model is trained once for each of these seeds",
    )
    md: Md = Field(default_factory=Md, description="molecular dynamics of every model")
    references: tuple[Path_, ...] = Field(
        ("assets/references/ilthermo.csv",),
        max_length=50,
        description="CSV files of measured values to compare with",
    )
    budget_core_hours: Real = number(
        100_000.0, 0.001, 1e9, "the plan is refused where its estimated cost is above this (CPU core-hours)"
    )


def schema() -> str:
    """Return the JSON schema of the study file, as `studies/schema.json` holds it."""
    body = Study.model_json_schema()
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **body}, indent=2) + "\n"
