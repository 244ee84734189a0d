"""What a study says of labels that are computed: the settings of each engine, and what a DFT program has of the levels of theory.

No library of an engine is imported here: the plan reads this where there is none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from ionmelt.settings import Count, Real, Section, Sha256, Text, auto_or_number, count, number
from ionmelt.theory import META_GGA, POTENTIALS, QUALITIES, THEORIES, Program, complete, name_of

MAX_FRAME_S = 21_600.0  # six hours: longer than any frame that makes sense
LONGEST_S = 2e6  # 23 days: the system counts what is waited for in ms, in 31 bits


class LabelTasks(Section):
    """What every engine shares."""

    if TYPE_CHECKING:
        engine: str  # the first field of each engine's section
    chunk: Annotated[
        Annotated[Literal["auto"], Tag("auto")] | Annotated[Count, Field(ge=1, le=10_000), Tag("number")],
        Discriminator(auto_or_number),
    ] = Field(
        default="auto",
        description="frames labelled by one task, along a path from neighbour to neighbour; auto: about half an hour's "
        "worth, and 200 tasks at most for the study",
    )
    max_frame_s: Real = number(
        MAX_FRAME_S, 1, LONGEST_S, "longest time that one frame may take, all attempts together (s)"
    )
    spot_check_fraction: Real = number(
        0.02,
        0,
        1,
        "share of the frames that are labelled again from a cold start, to see that the guess changes nothing",
    )
    max_failed_fraction: Real = number(0.05, 0, 1, "share of failed labels above which the run stops")

    @property
    def level(self) -> str:
        """The level of theory in words."""
        raise NotImplementedError

    @property
    def priced_as(self) -> str:
        """The name of what a label costs, among the laws of its engine."""
        return self.engine


class LabelledBy(Section):
    """The force field that labels the frames of a liquid, for engines that compute with those of the liquids.

    `sha256` is of `ionmelt.liquid.force_field_digest`.
    """

    name: str
    sha256: Sha256
    cutoff_A: Real

    def theory(self) -> dict[str, str | float]:
        """Return what of it changes a label: the name of a file does not."""
        return {"sha256": self.sha256, "cutoff_A": self.cutoff_A}

    def words(self) -> str:
        """Return it for a reader."""
        return f"{self.name} (sha256 {self.sha256[:8]}), cut-off {self.cutoff_A:g} Å"


@dataclass(frozen=True)
class LabelledBoxes:
    """The folders of the liquids' boxes, and by liquid the force field that a box must have: of engines that compute with these."""

    folders: tuple[Path, ...]
    force_fields: Mapping[str, LabelledBy]


class ClassicalLabels(LabelTasks):
    """Labels of the liquids' own force fields (OpenMM): a truth that can be known, and as far from the liquid as they are."""

    engine: Literal["classical"] = Field(description="classical: the force field of each liquid, by OpenMM")

    @property
    def level(self) -> str:
        """The level of theory in words, without the force fields, which are the liquids'."""
        return "classical force field"


class Teacher(Section):
    """The model that labels frames, as the plan knows it: the level of theory that it imitates, and what it is known by.

    ``sha256`` is of its weights, or of the file that makes its calculator.
    """

    theory: Text
    sha256: Sha256

    def words(self) -> str:
        """Return it for a reader."""
        return f"which imitates {self.theory} (sha256 {self.sha256[:8]})"


@dataclass(frozen=True)
class LabelledModel:
    """The folder of the model that labels frames, and which model it must be."""

    folder: Path
    teacher: Teacher


class ModelLabels(LabelTasks):
    """Labels of a model, for a smaller and faster one to learn (distillation): as far from the liquid as that model is."""

    engine: Literal["model"] = Field(description="model: a model that is there already")
    model: Text = Field(
        description="id of a model of the study that is used as it is, or a name of docs/named.md whose weights a package holds, "
        "such as sevennet-0"
    )

    @property
    def level(self) -> str:
        """The level of theory in words: a model stands for itself, whatever it imitates."""
        return f"model {self.model}"


class XtbLabels(LabelTasks):
    """Semi-empirical labels (tblite): for trying things out, not a reference."""

    engine: Literal["xtb"] = Field(description="xtb: semi-empirical, by tblite")
    method: Literal["GFN1-xTB", "GFN2-xTB"] = Field("GFN1-xTB", description="the Hamiltonian")
    accuracy: Real = number(0.1, 1e-4, 10, "tblite's accuracy factor: smaller is tighter")
    max_iterations: Count = count(250, 10, 10_000, "most SCF iterations of one frame")
    electronic_temperature_K: Real = number(300.0, 0, 10_000, "electronic temperature (K)")

    @property
    def level(self) -> str:
        """The level of theory in words."""
        return self.method

    @property
    def priced_as(self) -> str:
        """The Hamiltonian: one costs more than the other."""
        return self.method


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
    program: ClassVar[Program]

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

    @property
    def level(self) -> str:
        """The level of theory in words."""
        return name_of(self.functional, self.dispersion)

    @model_validator(mode="before")
    @classmethod
    def spell_out(cls, raw: Any) -> Any:
        """Put the settings in place of the names of theory and quality; a wrong name is then one mistake, not one for each of its settings."""
        if not isinstance(raw, dict):
            return raw
        if not raw.keys() & {*NAMED, *BY_NAME}:  # one mistake, not one for each of its settings
            raise ValueError("missing: theory, such as PBE-D3(BJ); or functional, dispersion and quality")
        engine = get_args(cls.model_fields["engine"].annotation)[0]
        asked = {**raw, "engine": engine}
        stand_in = {"theory": "PBE-D3(BJ)", "quality": "production", "functional": "PBE"}
        for name, choices in NAMED.items():
            value = asked.get(name)
            if value is not None and (value not in choices or (name == "theory" and value in cls.program.refused)):
                asked[name] = stand_in[name]
        return complete(asked, cls.program) | raw


ALL_ELECTRON = (
    "it needs all electrons in the basis def2-mTZVP, and liquids run with pseudopotentials; take r2SCAN-D3(BJ)"
)
# What a quality sets beside the basis: (economy, production). Fluorine decides. Forces of LiBF4 (PBE, CP2K 2023.1, either
# basis), root mean square off those at 1200 Ry: 26 meV/A at 1000 Ry, 62 at 800, 92 at 600, 119 at 400; net force 30, 103,
# 26, 364, 223 meV/A from 1200 Ry on, of the 122 that a label may have. A relative cut-off of 50 or 60 Ry is the same.
# One pair of PYR14BF4 (DZVP): at 800 Ry forces are up to 127 meV/A (root mean square 27) off those at 1200, and sum to 300 meV/A, at
# 1200 to 12; of nine frames three were refused for that. EPS_DEFAULT of 1e-10 changes them by 0.2 meV/A and takes a fifth less time
# than 1e-12 (157 s and 196 s of CPU time), which pays for the finer grid: 153 s at 800 Ry.
CP2K = Program(
    "CP2K",
    grids=(
        {"cutoff_Ry": 1200.0, "rel_cutoff_Ry": 50.0, "eps_scf": 1e-6, "eps_default": 1e-10},
        {"cutoff_Ry": 1200.0, "rel_cutoff_Ry": 60.0, "eps_scf": 1e-7},
    ),
    defaults={"eps_default": 1e-12, "multigrids": 5, "dispersion_cutoff_A": 16.0},
    refused={"r2SCAN-D4": "CP2K has no D4 here; take r2SCAN-D3(BJ), or engine: pyscf", "B97-3c": ALL_ELECTRON},
    lacks={"D4": "use D3(BJ), or engine: pyscf"},
)
PYSCF = Program(
    "PySCF",
    # CP2K rounds its mesh up, PySCF does not: at 800 Ry its forces on LiBF4 sum to more than a label may.
    grids=({"cutoff_Ry": 1000.0, "eps_scf": 1e-6}, {"cutoff_Ry": 1200.0, "eps_scf": 1e-7}),
    refused={"B97-3c": ALL_ELECTRON},
    by_gpu=META_GGA,  # PySCF 2.14 has no forces of these; GPU4PySCF does
)


class Cp2kLabels(DftLabels):
    """DFT by CP2K (Quickstep)."""

    program = CP2K
    engine: Literal["cp2k"] = Field(description="cp2k: DFT by CP2K")
    rel_cutoff_Ry: Real = number(..., 10, 500, "cut-off of the multigrid's reference Gaussian (Ry)")
    multigrids: Count = count(CP2K.defaults["multigrids"], 1, 10, "grids of the multigrid")
    eps_default: Real = number(
        CP2K.defaults["eps_default"], 1e-20, 1e-8, "CP2K's EPS_DEFAULT: accuracy of every integral"
    )
    dispersion_cutoff_A: Real = number(CP2K.defaults["dispersion_cutoff_A"], 5, 60, "radius of the pairs of D3 (A)")


class PyscfLabels(DftLabels):
    """DFT by PySCF (GTH pseudopotentials, gamma point), on a GPU by GPU4PySCF."""

    program = PYSCF
    engine: Literal["pyscf"] = Field(description="pyscf: DFT by PySCF")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where it runs; auto: a GPU if there is one")
