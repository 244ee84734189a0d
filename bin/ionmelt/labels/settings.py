"""What a study says of its labels: the level of theory, or the user's own."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import BeforeValidator, Discriminator, Field, Tag

from ionmelt.labels.engines import ENGINES
from ionmelt.labels.engines.settings import LabelTasks
from ionmelt.settings import Path_, Real, Section, Text, number


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


def refuse_no_form(value: Any) -> Any:
    """Refuse a section that is of no kind."""
    form, engines = labels_form(value), list(ENGINES)
    names = f"{', '.join(engines[:-1])} or {engines[-1]}"
    if form is None:
        raise ValueError(f"engine is missing: give {names}; or frames, the path of your own labels")
    if form not in ("frames", *engines):
        raise ValueError(f"engine is {str(form)!r}: give {names}")
    return value


if TYPE_CHECKING:
    Labels = LabelTasks | OwnLabels
else:
    sections = [Annotated[engine.settings, Tag(name)] for name, engine in ENGINES.items()]
    Labels = Annotated[
        Union[*sections, Annotated[OwnLabels, Tag("frames")]],
        Discriminator(labels_form),
        BeforeValidator(refuse_no_form),
    ]
