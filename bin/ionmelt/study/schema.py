"""The study file: what a user may write, in which units and within which bounds.

The pydantic models below are the one definition: `studies/schema.json` is made from them, and `read_draft`
turns every departure from them into one line that names the field, the value and what would be right. What
needs more than one field to judge (charges, boxes, datasets) is in `plan_study.py`.
"""

import difflib
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from ionmelt.task import UserError
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


# --- From text to a study, or to one line for each mistake ---------------------------------------------

MODELS: dict[str, type[AnyModel]] = {
    "mace": MaceModel,
    "deepmd": DeepmdModel,
    "classical": ClassicalModel,
    "xtb": XtbModel,
    "ase": AseModel,
}
LABELS: dict[str, type[Section]] = {
    "xtb": XtbLabels,
    "cp2k": Cp2kLabels,
    "pyscf": PyscfLabels,
    "frames": OwnLabels,
}
TAGS = {"smiles", "count", "auto", "number", "path", "paths", *MODELS, *LABELS}

PATTERNS = {
    SHA256: "64 hexadecimal digits",
    IMAGE: "the name of an image, such as ghcr.io/someone/model:1",
    FOLDER: "a folder without spaces or other signs than . _ / + -",
    CLASS: "a dotted name, such as tblite.ase.TBLite",
    PATH: "a path without quotes, brackets, commas or any of $ ; & | < > * ? ! # \\",
}
# What a number out of bounds most likely is, from the end of the field's name.
HINTS: dict[tuple[str, str], Callable[[float], str]] = {
    ("below", "temperatures_K"): lambda v: f"is it {v:g} degC? give kelvin, {v + 273.15:g}",
    ("below", "anneal_K"): lambda v: f"is it {v:g} degC? give kelvin, {v + 273.15:g}",
    ("above", "pressure_bar"): lambda v: f"is it {v:g} Pa? give bar, {v / 1e5:g}",
    ("below", "kg_m3"): lambda v: f"is it {v:g} g/cm3? give kg/m3, {v * 1000:g}",
    ("below", "_fs"): lambda v: f"is it {v:g} ps? give fs, {v * 1000:g}",
    ("above", "_ps"): lambda v: f"is it {v:g} fs? give ps, {v / 1000:g}",
    ("below", "_A"): lambda v: f"is it {v:g} nm? give angstrom, {v * 10:g}",
}
UNITS = {
    "_K": "K",
    "_bar": "bar",
    "_kg_m3": "kg/m3",
    "_fs": "fs",
    "_ps": "ps",
    "_A": "A",
    "_Ry": "Ry",
    "_hours": "h",
}


MAX_NODES = 100_000


def expanded(node: yaml.Node | None, known: dict[int, int]) -> int:
    """Return how many values a YAML node stands for, each anchor counted wherever it is used.

    A few lines can stand for billions. Raises ValueError for a node that holds itself.
    """
    if id(node) not in known:
        known[id(node)] = 0
        held = getattr(node, "value", None)
        inner = (
            [part for item in held for part in (item if isinstance(item, tuple) else (item,))]
            if isinstance(held, list)
            else []
        )
        known[id(node)] = 1 + sum(expanded(part, known) for part in inner)
    elif known[id(node)] == 0:
        raise ValueError("an anchor holds itself")
    return known[id(node)]


CORE = ("null", "bool", "int", "float", "str", "seq", "map", "merge")
# Numbers are decimal. PyYAML would read others in silence: 01604 as octal, 15:00 in base 60, 1e5 as a text, a date as a date.
NUMBERS = {
    "int": r"[-+]?(?:0|[1-9][0-9_]*)",
    "float": r"[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+)"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "odd": r"[-+]?(?:0[0-9_]+|0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)",
}


KINDS = {"int": "whole number", "float": "number", "bool": "true or false"}


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader for plain data, which also refuses a key that is given twice and numbers of two readings."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.mistakes: list[str] = []

    def note(self, node: yaml.Node, text: str) -> None:
        """Note what is wrong with a value, with its place."""
        self.mistakes.append(f"line {node.start_mark.line + 1}, column {node.start_mark.column + 1}: {text}")

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Note every key that an earlier line of the same mapping already gave."""
        seen: dict[str, int] = {}
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    self.note(key, f"{brief(key.value)} is already given in line {seen[key.value]}")
                seen.setdefault(key.value, key.start_mark.line + 1)
        return super().construct_mapping(node, deep)


def plain(loader: Loader, node: yaml.ScalarNode) -> Any:
    """Return the value of a scalar as YAML has it, or note one that is not what its tag says."""
    try:
        value = yaml.SafeLoader.yaml_constructors[node.tag](loader, node)
        if isinstance(value, str):
            value.encode()  # half of a character, as "\\ud800", is none
    except (ValueError, LookupError):
        loader.note(node, f"{brief(node.value)} is no {KINDS.get(node.tag.rpartition(':')[2], 'text')}")
        return None
    return value


def odd(loader: Loader, node: yaml.ScalarNode) -> None:
    """Note a number that means one thing to a person and another to a reader of YAML."""
    loader.note(
        node,
        f"{brief(node.value)} is no plain number: write it in decimal, without zeros in front, or a text in quotes",
    )


def only_plain_data(loader: type[Loader]) -> None:
    """Let a loader take the kinds of plain data alone: a text, a number, a list, a mapping; no date, set or binary."""
    tags = {kind: f"tag:yaml.org,2002:{kind}" for kind in (*CORE, *NUMBERS)}
    scalars = ("null", "bool", "int", "float", "str")
    constructors = {tags[kind]: yaml.SafeLoader.yaml_constructors[tags[kind]] for kind in ("seq", "map")}
    loader.yaml_constructors = constructors | {tags[kind]: plain for kind in scalars} | {
        tags["odd"]: odd,
        None: yaml.SafeLoader.yaml_constructors[None],
    }  # fmt: skip
    loader.yaml_implicit_resolvers = {}
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items():
        kept = [(tag, known) for tag, known in found if tag in (tags["null"], tags["bool"], tags["merge"])]
        loader.yaml_implicit_resolvers[first] = kept
    for kind, pattern in NUMBERS.items():
        loader.add_implicit_resolver(tags[kind], re.compile(f"(?:{pattern})$", re.ASCII), list("-+.0123456789"))


only_plain_data(Loader)


def parse_yaml(text: str, name: str) -> Any:
    """Return the content of a YAML text; raises `UserError` with line and column where it is not YAML."""
    try:
        loader = Loader(text)
        try:
            node = loader.get_single_node()
            if expanded(node, {}) > MAX_NODES:
                raise ValueError(f"its anchors stand for more than {MAX_NODES} values")
            content = loader.construct_document(node) if node is not None else None
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = " ".join(str(error.problem or error.context).split())
        raise UserError(one_line(f"{name}: {where}not YAML: {problem}")) from error
    except yaml.YAMLError as error:  # a character that YAML does not allow has a position but no mark
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
        raise UserError(f"{name}: line {line}: not YAML: a character that YAML does not allow") from error
    except (RecursionError, ValueError, OverflowError) as error:  # nested without end, or 2026-02-31
        raise UserError(f"{name}: not YAML: {' '.join(str(error).split())[:100]}") from error
    if loader.mistakes:
        raise UserError(*(one_line(f"{name}: {line}") for line in loader.mistakes))
    return content


def is_number(value: Any) -> bool:
    """Tell whether a value is a number or the text of one."""
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool)


def brief(value: Any) -> str:
    """Return a value as one short line of text."""
    if isinstance(value, bool) or value is None:
        return {None: "nothing", True: "true", False: "false"}[value]
    text = f"{value:g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def one_line(text: str) -> str:
    """Return a text with every character that does not print as its escape."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def path_text(loc: tuple[Any, ...]) -> str:
    """Return a field's place as ``liquids[0].ions.pyr14``."""
    text = ""
    for item in loc:
        if isinstance(item, int) and not isinstance(item, bool):
            text += f"[{item}]"
        else:
            plain = isinstance(item, str) and re.fullmatch(r"[\w.+-]{1,60}", item)
            text += ("." if text else "") + (item if plain else brief(item))
    return text or "study"


@dataclass
class Problems:
    """The mistakes found so far, each with the place that it is at."""

    found: list[tuple[tuple[Any, ...], str]] = field(default_factory=list)

    def add(self, loc: tuple[Any, ...], text: str) -> None:
        """Note a mistake at `loc`."""
        self.found.append((loc, text))

    def lines(self) -> list[str]:
        """Return one line for each mistake, in the order of the study file's sections."""
        order = list(Study.model_fields)

        def place(entry: tuple[tuple[Any, ...], str]) -> tuple[int, int]:
            loc = entry[0]
            section = order.index(loc[0]) if loc and loc[0] in order else -1
            return section, loc[1] if len(loc) > 1 and isinstance(loc[1], int) else -1

        texts = (one_line(f"{path_text(loc)}: {text}") for loc, text in sorted(self.found, key=place))
        return list(dict.fromkeys(texts))


def sections_of(annotation: Any) -> Iterator[type[Section]]:
    """Yield the section classes that a field's annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for inner in get_args(annotation):
        yield from sections_of(inner)


def class_at(cls: type[Section], loc: tuple[Any, ...]) -> type[Section] | None:
    """Return the section class that `loc`, as pydantic gives it, leads to from `cls`."""
    options = [cls]
    for item in loc:
        if item in LABELS and len(options) > 1:
            options = [LABELS[item]]
            continue
        fields = [option.model_fields[item] for option in options if item in option.model_fields]
        if fields:
            inner = [section for found in fields for section in sections_of(found.annotation)]
            if not inner and item not in TAGS:
                return None
            options = inner or options
    return options[0] if len(set(options)) == 1 else None


def shown_place(raw: Any, loc: tuple[Any, ...], kind: str) -> tuple[Any, ...]:
    """Return `loc` without the names of union branches, which pydantic adds and no user wrote."""
    place: list[Any] = []
    for index, item in enumerate(loc):
        last = index == len(loc) - 1
        if item == "[key]":
            continue
        held = raw[item] if isinstance(raw, dict) and item in raw else None
        if isinstance(raw, list | tuple) and isinstance(item, int) and item < len(raw):
            held = raw[item]
        named = isinstance(held, dict | list) or (last and (held is not None or kind == "missing"))
        if item in TAGS and not named:
            continue
        place.append(item)
        raw = held
    return tuple(place)


def explain(error: Any, cls: type[Section], name: Any) -> str:
    """Return what is wrong and what would be right, from one of pydantic's errors at field `name`."""
    kind, value, context = error["type"], error.get("input"), error.get("ctx", {})
    shown = brief(value)
    ending = name if isinstance(name, str) else ""
    if kind == "missing":
        owner = class_at(cls, error["loc"][:-1])
        info = owner.model_fields.get(ending) if owner else None
        return f"missing: {info.description}" if info and info.description else "missing"
    if kind == "extra_forbidden":
        owner = class_at(cls, error["loc"][:-1])
        known = sorted(owner.model_fields) if owner else []
        close = difflib.get_close_matches(ending, known, n=1)
        return "unknown field" + (f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}")
    if kind in ("greater_than_equal", "less_than_equal"):
        bound, word = (context["ge"], "below") if kind == "greater_than_equal" else (context["le"], "above")
        unit = next((text for suffix, text in UNITS.items() if ending.endswith(suffix)), "")
        line = f"{shown} is {word} {bound:g} {unit}".rstrip()
        amount = float(value)
        hint = next((hint for (side, end), hint in HINTS.items() if side == word and ending.endswith(end)), None)
        return f"{line}: {hint(amount)}" if hint and amount > 0 else line
    if kind.startswith("float") or kind == "finite_number":
        return f"{shown} is not a number"
    if kind.startswith("int"):
        return f"{shown} is not a whole number"
    if kind == "union_tag_invalid":
        return f"engine is {context['tag']!r}: give xtb, cp2k or pyscf"
    if kind == "literal_error" and context["expected"] == "'auto'":
        return f"{shown}: give auto or a number"
    if kind == "literal_error":
        return f"{shown}: give one of {context['expected']}"
    if kind == "union_tag_not_found":
        return "engine is missing: give xtb, cp2k or pyscf; or frames, the path of your own labels"
    if kind == "string_pattern_mismatch":
        what = PATTERNS.get(context["pattern"])
        return f"{shown}: give {what or 'small letters, digits, _ and ., beginning with a letter or digit'}"
    if kind == "string_type":
        return f"{shown} is not a text"
    if kind in ("string_too_long", "too_long"):
        return f"too long: at most {context['max_length']}"
    if kind in ("string_too_short", "too_short"):
        return f"empty: give at least {context['min_length']}"
    if kind in ("tuple_type", "list_type"):
        return f"{shown} is not a list: give [...]"
    if kind in ("dict_type", "model_type", "model_attributes_type"):
        return f"{shown} is not a section: give name: value lines"
    if kind == "value_error":
        return str(context["error"])
    return f"{shown}: {' '.join(error['msg'].split())}"


@cache
def adapter(cls: type[Section], name: str) -> TypeAdapter[Any]:
    """Return what validates one field of a section by itself."""
    info: FieldInfo = cls.model_fields[name]
    annotation: Any = Annotated[info.annotation, info]
    return TypeAdapter(annotation)


def partial(
    cls: type[Section], raw: Any, loc: tuple[Any, ...], problems: Problems, skip: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Return the fields of a section that are right, by name, and note what is wrong with the others.

    So that one mistake does not hide the next: what can still be judged, is judged. Of a mapping (ions,
    datasets) the right entries are kept. Fields in `skip` are left to the caller.
    """
    if not isinstance(raw, dict):
        problems.add(loc, f"{brief(raw)} is not a section: give name: value lines")
        return {}
    values: dict[str, Any] = {}
    for key in raw:
        if key not in cls.model_fields:
            problems.add((*loc, key), explain({"type": "extra_forbidden", "loc": (key,)}, cls, key))
    for name, info in cls.model_fields.items():
        if name in skip:
            continue
        if name not in raw:
            if info.is_required():
                problems.add((*loc, name), explain({"type": "missing", "loc": (name,)}, cls, name))
            else:
                values[name] = info.get_default(call_default_factory=True)
            continue
        try:
            values[name] = adapter(cls, name).validate_python(raw[name])
        except ValidationError as error:
            wrong = set()
            places = [entry["loc"] for entry in error.errors()]
            for entry in error.errors():
                inside = any(place[:-1] == entry["loc"] for place in places if place)
                if entry["type"] == "too_short" and inside:  # it counts only the items that are right
                    continue
                entry["loc"] = (name, *entry["loc"])
                place = shown_place(raw, entry["loc"], entry["type"])
                owner = next((item for item in reversed(place) if isinstance(item, str)), name)
                problems.add((*loc, *place), explain(entry, cls, owner))
                wrong.add(place[1] if len(place) > 1 else None)
            if isinstance(raw[name], dict) and None not in wrong:
                rest = {key: value for key, value in raw[name].items() if key not in wrong}
                try:
                    values[name] = adapter(cls, name).validate_python(rest)
                except ValidationError:
                    continue
    return values


@dataclass
class Draft:
    """A study as far as it could be read: sections by name, liquids and models by their place in the file."""

    sections: dict[str, Any]
    liquids: dict[int, dict[str, Any]]
    models: dict[int, dict[str, Any]]

    def get(self, section: str, name: str | None = None) -> Any:
        """Return a section, or a field of it; None where it is absent or wrong."""
        found = self.sections.get(section)
        if name is None or found is None:
            return found
        return found.get(name) if isinstance(found, dict) else getattr(found, name, None)


def read_draft(raw: Any, problems: Problems) -> Draft:
    """Return what is right in a study file's content, and note everything that is not."""
    draft = Draft({}, {}, {})
    if not isinstance(raw, dict):
        problems.add((), f"{brief(raw)} is not a study: give name: value lines, as in studies/demo.yaml")
        return draft
    apart: dict[str, type[Section]] = {"equilibration": Equilibration, "split": Split, "md": Md}
    lists = [name for name in ("liquids", "models") if name in raw]
    present = [name for name in apart if name in raw]
    draft.sections = partial(Study, raw, (), problems, skip=frozenset([*lists, *present]))
    for name in present:
        draft.sections[name] = partial(apart[name], raw[name], (name,), problems)
    for name in lists:
        value = raw[name]
        if not isinstance(value, list) or not value:
            text = "empty: give at least 1" if value == [] else f"{brief(value)} is not a list: give [...]"
            problems.add((name,), text)
            continue
        for index, item in enumerate(value):
            if name == "liquids":
                draft.liquids[index] = partial(Liquid, item, (name, index), problems)
                continue
            framework = item.get("framework") if isinstance(item, dict) else None
            if isinstance(item, dict) and (not isinstance(framework, str) or framework not in MODELS):
                text = "missing" if "framework" not in item else brief(framework)
                problems.add((name, index, "framework"), f"{text}: give one of {', '.join(MODELS)}")
                continue
            cls = MODELS.get(framework or "", AnyModel)
            draft.models[index] = partial(cls, item, (name, index), problems)
    return draft
