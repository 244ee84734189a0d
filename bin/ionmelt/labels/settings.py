"""What a study says of its labels: the level of theory, or the user's own."""

from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from ionmelt.settings import Count, Path_, Real, Section, Text, auto_or_number, count, number
from ionmelt.theory import DEFAULTS, MAX_FRAME_S, POTENTIALS, QUALITIES, THEORIES, complete

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


ENGINE_CLASSES: dict[str, type[LabelTasks]] = {"xtb": XtbLabels, "cp2k": Cp2kLabels, "pyscf": PyscfLabels}


def labels_form(value: Any) -> Any:
    """Return which kind of labels section this is."""
    if isinstance(value, dict):
        return "frames" if "frames" in value else value.get("engine")
    return "frames" if isinstance(value, OwnLabels) else getattr(value, "engine", None)


def refuse_no_form(value: Any) -> Any:
    """Refuse a section that is of no kind."""
    form, engines = labels_form(value), list(ENGINE_CLASSES)
    names = f"{', '.join(engines[:-1])} or {engines[-1]}"
    if form is None:
        raise ValueError(f"engine is missing: give {names}; or frames, the path of your own labels")
    if form not in ("frames", *engines):
        raise ValueError(f"engine is {str(form)!r}: give {names}")
    return value


Labels = Annotated[
    Annotated[XtbLabels, Tag("xtb")]
    | Annotated[Cp2kLabels, Tag("cp2k")]
    | Annotated[PyscfLabels, Tag("pyscf")]
    | Annotated[OwnLabels, Tag("frames")],
    Discriminator(labels_form),
    BeforeValidator(refuse_no_form),
]
