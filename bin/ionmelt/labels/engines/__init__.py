"""The table of what computes labels: a row for each engine, and a module for its code.

No library of an engine is imported here: the plan, the report and the environments of the other engines read the table too.
The code of the engine NAME is NAME.py, which no row imports or quotes: an edit of it is to repeat the labels of its own engine alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from ionmelt.labels.engines.settings import (
    ClassicalLabels,
    Cp2kLabels,
    LabelledBy,
    LabelTasks,
    ModelLabels,
    PyscfLabels,
    Teacher,
    XtbLabels,
)
from ionmelt.laws import XTB, Law, through
from ionmelt.theory import name_of


@dataclass(frozen=True)
class LabelEngine:
    """How labels are computed: its section of a study, its code, what it runs in, what a label costs, what a reader is told."""

    settings: type[LabelTasks]
    module: str  # with a class Engine(settings, threads) that has `version` and `label(atoms, cold)`
    title: str  # of the method or program, for a reader
    environment: str  # of Python, and the image of that name
    laws: Mapping[
        str, Law
    ]  # cost of a label, by the `method` of the settings, or the engine's name where there is none
    words: Callable[[Mapping[str, Any]], str]  # the level of theory of some settings, for the report
    gpu: bool = False  # whether it can use one
    boxes: bool = False  # whether it computes with the force fields of the liquids: Engine(settings, threads, boxes)
    model: bool = (
        False  # whether it computes with a model, in the environment of that: Engine(settings, threads, model)
    )
    not_dft: str | None = None  # name of the method, where the labels are not DFT
    warning: str | None = None  # shown beside results: what such labels must not be taken for
    framework: str | None = None  # of models whose forces are the very method of the labels
    pairs: bool = False  # whether atoms and pairs alone are so cheap that the report has them of the labels, too

    @property
    def name(self) -> str:
        """Return its name in a study, the `engine` of its section."""
        return str(get_args(self.settings.model_fields["engine"].annotation)[0])

    def law(self, settings: LabelTasks) -> Law:
        """Return the cost of a label with some settings."""
        return self.laws[settings.priced_as]


def dft_words(labels: Mapping[str, Any]) -> str:
    """Return the level of a DFT program's labels in words."""
    level = name_of(str(labels.get("functional")), str(labels.get("dispersion") or "none"))
    return f"{level} / {labels.get('basis')} ({ENGINES[labels['engine']].title})"


def force_field_words(labels: Mapping[str, Any]) -> str:
    """Return the force fields of the liquids in words."""
    named = {liquid: LabelledBy.model_validate(given) for liquid, given in labels.get("force_fields", {}).items()}
    return "classical force field: " + "; ".join(f"{liquid}: {given.words()}" for liquid, given in named.items())


def teacher_words(labels: Mapping[str, Any]) -> str:
    """Return the model that labels in words."""
    teacher = Teacher.model_validate(labels["teacher"])
    return f"the model {labels['model']}, {teacher.words()}"


CLASSICAL_LAW = through(48, 0.0075, 480, 0.0245, "OpenMM 8.6.1 with one thread, CL&P, 48 and 480 atoms")
CP2K_LAW = through(35, 60.0, 70, 150.0, "CP2K 2023.1, PBE-D3, DZVP, one and two PYR14BF4 pairs")
PYSCF_WORDS = "PySCF 2.14, energy and forces of one PYR14BF4 pair; the power is CP2K's"
MODEL_LAW = Law(1.75, 140, 1.0, "SevenNet-0, 140 atoms of PYR14BF4")
ROWS = (
    LabelEngine(
        XtbLabels,
        f"{__name__}.xtb",
        title="xTB",
        environment="dft",
        laws=XTB,
        words=lambda labels: f"{labels.get('method', 'xTB')} (semi-empirical tight binding, not DFT)",
        not_dft="semi-empirical",
        warning="semi-empirical labels are for trying things out, not a reference",
        framework="xtb",
        pairs=True,
    ),
    LabelEngine(
        Cp2kLabels,
        f"{__name__}.cp2k",
        title="CP2K",
        environment="dft",
        laws={"cp2k": CP2K_LAW},
        words=dft_words,
    ),
    LabelEngine(
        PyscfLabels,
        f"{__name__}.pyscf",
        title="PySCF",
        environment="dft",
        laws={"pyscf": Law(128.0, 35, CP2K_LAW.power, PYSCF_WORDS)},
        words=dft_words,
        gpu=True,
    ),
    LabelEngine(
        ClassicalLabels,
        f"{__name__}.classical",
        title="OpenMM",
        environment="analysis",
        laws={"classical": CLASSICAL_LAW},
        words=force_field_words,
        boxes=True,
        not_dft="classical",
        warning="labels of a force field are a truth that can be known, and no reference of the liquid",
        framework="classical",
    ),
    LabelEngine(
        ModelLabels,
        f"{__name__}.model",
        title="distillation",
        environment="foundation",
        laws={"model": MODEL_LAW},
        words=teacher_words,
        gpu=True,
        model=True,
        not_dft="a model's",
        warning="what is trained imitates that model, and is no closer to the liquid than it",
        pairs=True,
    ),
)
ENGINES = {row.name: row for row in ROWS}  # by name, in the order in which messages list them
