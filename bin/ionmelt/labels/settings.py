"""What a study says of its labels, the level of theory or the user's own, and what the tasks that make or import them are told."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Union

from pydantic import BeforeValidator, Discriminator, Field, Tag, create_model

from ionmelt.errors import UserError
from ionmelt.files import read_json
from ionmelt.labels.engines import ENGINES, LabelEngine
from ionmelt.labels.engines.settings import LabelledBy, LabelTasks, Teacher
from ionmelt.labels.foreign import FORMATS
from ionmelt.liquid.settings import BoxIon
from ionmelt.mistakes import did_you_mean
from ionmelt.settings import Path_, Real, Section, TaskSettings, Text, number

# --- The user's own labels -----------------------------------------------------------------------------

Format = Literal[("auto", *FORMATS)]  # type: ignore[valid-type]
EnergyUnit = Literal["eV", "Ha", "Ry", "kcal/mol", "kJ/mol"]
ForcesUnit = Literal["eV/A", "Ha/Bohr", "Ry/Bohr", "kcal/mol/A", "kJ/mol/nm"]
StressUnit = Literal["eV/A^3", "GPa", "kbar", "bar", "Ha/Bohr^3"]
StressOrder = Literal["xx yy zz yz xz xy", "xx yy zz xy yz zx"]
StressSign = Literal["tension", "compression"]
Kind = Literal["eq", "neq"]


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
    format: Format = Field("auto", description="format of the files; auto tells it from how each begins")
    energy_key: Text | None = Field(None, description="extxyz: name of the energy; left out, the only one like it")
    forces_key: Text | None = Field(None, description="extxyz: name of the forces; left out, the only one like it")
    stress_key: Text | None = Field(None, description="extxyz: name of the stress; left out, the only one like it")
    virial_key: Text | None = Field(
        None, description="extxyz: name of the virial, stress times volume in energy_unit, in place of stress_key"
    )
    energy_unit: EnergyUnit | None = Field(
        None, description="extxyz: unit of energies; left out, what the files say (energy-unit=...), else eV"
    )
    forces_unit: ForcesUnit | None = Field(
        None, description="extxyz: unit of forces; left out, what the files say (force-unit=...), else eV/A"
    )
    stress_unit: StressUnit | None = Field(
        None, description="extxyz: unit of the stress; left out, what the files say (stress-unit=...), else eV/A^3"
    )
    stress_order: StressOrder | None = Field(
        None,
        description="extxyz: which the six numbers of a stress are, where it has six; left out, xx yy zz yz xz xy (ASE's); "
        "VASP's is xx yy zz xy yz zx",
    )
    stress_sign: StressSign | None = Field(
        None,
        description="extxyz: what a positive number means; left out, tension for a stress (as in ASE) and compression "
        "for a virial",
    )
    kind: Kind = Field("eq", description="kind of the frames that do not say theirs in kind_key")
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

    @property
    def level(self) -> str:
        """The level of theory in words."""
        return self.theory

    def paths(self) -> tuple[str, ...]:
        """Return the files, be they one or several."""
        return (self.frames,) if isinstance(self.frames, str) else self.frames


def labels_form(value: Any) -> Any:
    """Return which kind of labels section this is."""
    if isinstance(value, dict):
        return "frames" if "frames" in value else value.get("engine")
    if isinstance(value, LabelTasks):
        return value.engine
    return "frames" if isinstance(value, OwnLabels) else None


def refuse_no_form(value: Any) -> Any:
    """Refuse a section that is of no kind."""
    form, engines = labels_form(value), list(ENGINES)
    names = f"{', '.join(engines[:-1])} or {engines[-1]}"
    if form is None:
        raise ValueError(f"engine is missing: give {names}; or frames, the path of your own labels")
    if form not in ("frames", *engines):
        raise ValueError(f"engine is {str(form)!r}: {did_you_mean(str(form), ENGINES)}give {names}")
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


# --- Tasks ---------------------------------------------------------------------------------------------

# Fields of the section that a task is not told: names, whose settings are written out beside them, and what other tasks use.
NOT_OF_A_TASK = ("theory", "quality", "chunk", "max_failed_fraction")


class LabelSettings(TaskSettings):
    """The settings of LABEL_FRAMES and ESTIMATE_LABELS; each engine adds those of its section, every one of them written down."""

    engine: str
    max_frame_s: Real
    spot_check_fraction: Real
    theory_id: str

    @classmethod
    def of(
        cls,
        section: LabelTasks,
        theory_id: str,
        force_fields: Mapping[str, LabelledBy] | None = None,
        teacher: Teacher | None = None,
    ) -> "LabelSettings":
        """Return the settings that a section of a study stands for, with the force fields, or the model, where it labels by them."""
        written = section.model_dump(mode="json", exclude=set(NOT_OF_A_TASK))
        written |= {"theory_id": theory_id, "id": "labels"} | ({"force_fields": force_fields} if force_fields else {})
        written |= {"teacher": teacher} if teacher else {}
        return settings_of(ENGINES[section.engine]).model_validate(written)

    def section(self) -> LabelTasks:
        """Return what the engine is told: its section of the study, with the defaults of what the task is not told."""
        section = ENGINES[self.engine].settings
        return section.model_validate(self.model_dump(include=set(section.model_fields)))

    def on(self, device: str) -> Self:
        """Return these settings for another device, where the engine has a choice of one."""
        return self.model_copy(update={"device": device}) if "device" in type(self).model_fields else self


class ForceFieldLabelSettings(LabelSettings):
    """The settings of an engine that computes with the force fields of the liquids, which are given by liquid."""

    force_fields: dict[str, LabelledBy]


class ModelLabelSettings(LabelSettings):
    """The settings of an engine that computes with a model."""

    teacher: Teacher


def settings_of(engine: LabelEngine) -> type[LabelSettings]:
    """Return the class of the settings of an engine's tasks."""
    base = ForceFieldLabelSettings if engine.boxes else ModelLabelSettings if engine.model else LabelSettings
    return settings_class(engine.settings, base)


@cache
def settings_class(section: type[LabelTasks], base: type[LabelSettings]) -> type[LabelSettings]:
    """Return the class of the settings of a section's tasks: those of the section, and what the plan adds."""
    fields: dict[str, Any] = {
        name: (Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation, ...)
        for name, info in section.model_fields.items()
        if name not in (*NOT_OF_A_TASK, *LabelSettings.model_fields)
    }
    return create_model(f"{section.__name__}Settings", __base__=base, **fields)


def read_label_settings(path: Path) -> LabelSettings:
    """Return the settings of a task that makes labels; raises `UserError`, one line for each mistake."""
    engine = read_json(path).get("engine")
    if isinstance(engine, str) and engine in ENGINES:
        return settings_of(ENGINES[engine]).read(path)
    said = "missing" if engine is None else f"{engine!r} is not known; use one of {', '.join(sorted(ENGINES))}"
    raise UserError(f"{path}: engine: {said}")


class ImportLiquid(Section):
    """A liquid of the study, for whose ions frames are looked through."""

    id: str
    ions: tuple[BoxIon, ...]


class ImportSettings(TaskSettings):
    """The settings of IMPORT_LABELS: what the study says in `OwnLabels`, and its liquids; without any, frames may hold anything."""

    frames: tuple[Path_, ...]
    theory: Text
    format: Format
    energy_key: Text | None
    forces_key: Text | None
    stress_key: Text | None
    virial_key: Text | None
    energy_unit: EnergyUnit | None
    forces_unit: ForcesUnit | None
    stress_unit: StressUnit | None
    stress_order: StressOrder | None
    stress_sign: StressSign | None
    kind: Kind
    kind_key: Text
    group_key: Text | None
    max_net_force_eV_A: Real
    max_failed_fraction: Real
    liquids: tuple[ImportLiquid, ...]
    theory_id: str


class NoLabels(TaskSettings):
    """What the plan writes for a study without labels."""

    theory_id: None
