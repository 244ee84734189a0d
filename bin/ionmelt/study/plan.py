"""PLAN_STUDY: read a study file, refuse every mistake at once, and write one small file of settings a task.

Writes the folder --out (study.json, one CSV for each kind of key, and JSON files that hold only what a task
needs), prints what the study will cost on standard output, and warnings on standard error. The same study
gives the same bytes. A study with mistakes ends with exit code 2 and one line for each: the field, the value,
what would be right.
"""

import argparse
import csv
import hashlib
import io
import json
import math
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

from ase.units import kg

from ionmelt import task
from ionmelt import theory as theory_level
from ionmelt.dynamics import trajectory
from ionmelt.frame import ENERGY_KEY, FORCES_KEY, KINDS, STRESS_KEY, kinds_of, theory_id, theory_settings
from ionmelt.liquid.ions import library, resolve
from ionmelt.study import cost as study_cost
from ionmelt.study.references import COLUMNS as REFERENCE_COLUMNS
from ionmelt.study.references import composition, read_references, references_of, spelled
from ionmelt.study.schema import Draft, Md, OwnLabels, Problems, Study, brief, parse_yaml, path_text, read_draft, schema
from ionmelt.task import UserError

CUTOFF_MAX_A = 9.0
CUTOFF_FRACTION = 0.42  # of the box edge: room for the barostat below half of it
CUTOFF_LIMIT = 0.48  # nearer to half the edge, a barostat that shrinks the box stops the run
CUTOFF_LEAST_A = 3.0
SAVED_FRAMES_MAX = 1_000_000
NEQ_RECIPES = ("volume_scan", "oscillation", "packing", "rattle", "clusters", "ions")
EQUILIBRATION_TIMESTEP_FS, XTB_TIMESTEP_FS = 2.0, 1.0  # what auto means; with xtb no bond is held fixed: no longer step
NEED_FORCE_FIELD = ("oscillation", "packing")
SWING_STRIDE_PS, SWING_STOPS_LEAST = 0.01, 10  # how often sample_frames.py moves a swinging box; a period has so many
TRAJECTORY_GROUPS = 3  # that sample_frames.py cuts a trajectory into, at least
SAVED_FRAMES_LEAST = 10
LABEL_TASK_S = 1800.0  # what a task should last
LABEL_TASKS_LEAST, LABEL_TASKS_MAX = 8, 200  # of a liquid, where its frames are cheap; of a study
CHAIN_LEAST = 10  # frames
# What the import of a model needs to know of it.
IMPORTED = (
    "sha256", "licence", "theory", "dispersion", "head", "dtype", "calculator", "arguments", "weights_argument",
)  # fmt: skip
# First learning rates of MACE models that are tuned, by mode.
LEARNING_RATES = {"finetune": 0.001, "replay": 0.001, "lora": 0.005}
RESERVED = ("reference", "labels")  # a verdict's other side; the engine of the labels
MAX_STUDY_BYTES = 1_000_000
STORES = ("s3", "gs", "az")  # whose addresses stand for files
OTHER_LIQUID = "other"  # the name that import_labels.py gives to frames of no liquid of the study

# What makes warnings.
PYR14BF4_MELTS_K = 425.0
PYR14BF4_LIQUID_K = 430.0
LIQUID_PAIRS = 10
DIFFUSION_PAIRS = 80
HYDROGEN_TIMESTEP_FS = 1.0
DENSITY_PS = 100.0
DIFFUSION_PS = 1000.0


# --- Where things are ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Places:
    """Where the study's own files are looked for, and whether they can be seen from here."""

    base: str
    assets: Path
    seen: bool

    def locate(self, text: str) -> str:
        """Return the absolute path or address of a file that the study names."""
        if "://" in text or text.startswith("/"):
            return text
        if text.startswith("assets/"):
            return str(self.assets.resolve().parent / text)
        return f"{self.base.rstrip('/')}/{text}"

    def leaves(self, text: str) -> bool:
        """Tell whether a relative path leads out of its folder, by ``..`` or by a link."""
        if "://" in text or text.startswith("/"):
            return False
        place, inside = self.path(text), text.startswith("assets/")
        if ".." in Path(text).parts:
            return True
        root = self.assets.resolve() if inside else Path(self.base).resolve()
        return place is not None and place.exists() and not place.resolve().is_relative_to(root)

    def path(self, text: str) -> Path | None:
        """Return the path of a file that can be looked at from here, or None."""
        place = self.locate(text)
        if text.startswith("assets/"):
            return self.assets / text.removeprefix("assets/")
        return Path(place) if self.seen and "://" not in place else None


def missing_file(places: Places, text: str, *, folder: bool = False) -> str | None:
    """Return what is wrong with a file that the study names, or None; it may be a folder only where that is said."""
    if places.leaves(text):
        return f"{brief(text)}: leaves the folder of the study: give the absolute path, so that it is plain to see"
    scheme = places.locate(text).partition("://")[0] if "://" in places.locate(text) else None
    if scheme is not None and scheme not in STORES:
        stores = ", ".join(STORES)
        return (
            f"{brief(text)}: nothing is fetched from {scheme}: give a path, or an address in an object store ({stores})"
        )
    path = places.path(text)
    if path is None or path.is_file() or (folder and path.is_dir()):
        return None
    if path.exists() and not path.is_dir():
        return f"{brief(text)}: {places.locate(text)} is no regular file"
    if path.is_dir():
        return f"{brief(text)}: {places.locate(text)} is a folder: give a file"
    return f"{brief(text)}: no such file: {places.locate(text)}; a path is relative to the study file"


def check_outdir(outdir: str) -> str | None:
    """Return why results cannot be written to a folder; None where they can, or it cannot be seen."""
    if "://" in outdir:
        return None
    path = Path(outdir).absolute()
    while not path.exists() and path.parent != path:
        if path.is_symlink():
            return f"{brief(outdir)}: {path} is a link to nothing"
        path = path.parent
    if path.parent == path and path != Path(outdir).absolute():
        return None  # inside a container the folder may just not be mounted
    if not path.is_dir():
        return f"{brief(outdir)}: {path} is a file: give a folder"
    try:
        with tempfile.TemporaryFile(dir=path):
            return None
    except OSError as error:
        if task.kind_of_error(error) is task.Exit.MEMORY:
            raise
        return f"{brief(outdir)}: cannot be written ({error.strerror}): give a folder that you may write to"


@dataclass(frozen=True)
class Before:
    """The round before, in active learning: where its results are, and the cards of its models, by key."""

    place: str = ""
    cards: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def round(self) -> int:
        """Return the number of the round that follows: the first, without anything before it, is 0."""
        return 1 + max(card["settings"].get("round", 0) for card in self.cards.values()) if self.cards else 0

    def file(self, key: str) -> str:
        """Return the address of the weights of a model that a training can go on from."""
        return f"{self.place.rstrip('/')}/models/{key}/model.pt"


def read_before(place: str | None, cards: Iterable[Path]) -> Before:
    """Return the round before; only models that were trained have weights to go on from."""
    read = [task.read_json(path) for path in sorted(cards)]
    return Before(place or "", {card["id"]: card for card in read if "model.pt" in card["files"]})


# --- The liquids ---------------------------------------------------------------------------------------


@dataclass
class Box:
    """What is known of a liquid's box before it is built."""

    ions: list[dict[str, Any]]  # as in boxes/KEY.json
    atoms: int
    mass_u: float
    charge: int
    untyped: list[str]
    edge_A: float | None
    elements: frozenset[str]

    @property
    def pairs(self) -> float:
        """Return the number of ion pairs, half the number of ions."""
        return sum(ion["count"] for ion in self.ions) / 2


def describe_box(
    liquid: Mapping[str, Any], loc: tuple[Any, ...], known: dict[str, Any], problems: Problems
) -> Box | None:
    """Return what a liquid's composition says about its box, or None where an ion is wrong."""
    ions, resolved, whole = [], [], True
    for name, given in (liquid.get("ions") or {}).items():
        if isinstance(given, int):
            if name not in known:
                names = ", ".join(sorted(known))
                problems.add(
                    (*loc, "ions", name),
                    f"unknown ion {name!r}; known: {names}; or give {{smiles: ..., count: {given}}}",
                )
                whole = False
                continue
            entry = {key: known[name][key] for key in ("smiles", "types", "hydrogen_types")} | {"count": given}
        else:
            entry = {"smiles": given.smiles, "types": None, "hydrogen_types": None, "count": given.count}
        try:
            found = resolve({"name": name, **entry}, known)
        except UserError as error:
            problems.add((*loc, "ions", name), "; ".join(error.errors).removeprefix("ions: "))
            whole = False
            continue
        resolved.append(found)
        ions.append(
            {
                "name": name,
                "smiles": entry["smiles"],
                "charge": found["charge"],
                "count": entry["count"],
                "types": entry["types"],
                "hydrogen_types": entry["hydrogen_types"],
            }
        )
    if not whole or not ions:
        return None
    mass = sum(sum(ion["masses_u"]) * ion["count"] for ion in resolved)
    density = liquid.get("density_guess_kg_m3")
    return Box(
        ions=ions,
        atoms=sum(len(ion["elements"]) * ion["count"] for ion in resolved),
        mass_u=mass,
        charge=sum(ion["charge"] * ion["count"] for ion in resolved),
        untyped=[ion["name"] for ion in resolved if ion["types"] is None],
        edge_A=(mass * 1e30 / kg / density) ** (1 / 3) if density else None,
        elements=frozenset(symbol for ion in resolved for symbol in ion["elements"]),
    )


def neutral_fix(box: Box) -> str:
    """Return counts that would make a box neutral, in words."""
    positive = [ion for ion in box.ions if ion["charge"] > 0]
    negative = [ion for ion in box.ions if ion["charge"] < 0]
    few = negative if box.charge > 0 else positive
    if not few:
        return "add an ion of the opposite charge"
    ion = few[0]
    more, left = divmod(abs(box.charge), abs(ion["charge"]))
    if left:
        return "change the counts until they sum to 0"
    return f"{ion['count'] + more} of {ion['name']} would make it neutral"


def chosen_cutoff_A(cutoff: Any, edge_A: float) -> float:
    """Return the classical cut-off in a box: the given one, or what auto means."""
    return round(min(CUTOFF_MAX_A, CUTOFF_FRACTION * edge_A), 3) if cutoff == "auto" else float(cutoff)


def equilibration_step_fs(timestep_fs: Any, force_field: Any) -> float:
    """Return the time step of a liquid's equilibration: the given one, or what auto means."""
    if timestep_fs != "auto":
        return float(timestep_fs)
    return XTB_TIMESTEP_FS if force_field == "xtb" else EQUILIBRATION_TIMESTEP_FS


def check_liquids(
    draft: Draft, raw: Mapping[str, Any], known: dict[str, Any], places: Places, problems: Problems
) -> dict[int, Box]:
    """Judge each liquid by itself; return what is known of the boxes, by the liquid's place in the file."""
    boxes = {}
    cutoff = draft.get("equilibration", "cutoff_A")
    for index, liquid in draft.liquids.items():
        loc = ("liquids", index)
        written = [f"{kelvin:g}" for kelvin in liquid.get("temperatures_K") or ()]
        for text in repeated(written):
            problems.add((*loc, "temperatures_K"), f"{text} is given twice")
        force_field = liquid.get("force_field")
        if force_field and force_field not in ("clandp", "xtb"):
            if not force_field.endswith(".xml"):
                problems.add(
                    (*loc, "force_field"),
                    f"{brief(force_field)}: give clandp, xtb or the path of a .xml file",
                )
            elif wrong := missing_file(places, force_field):
                problems.add((*loc, "force_field"), wrong)
        box = describe_box(liquid, loc, known, problems)
        if box is None or len(box.ions) != len(raw["liquids"][index]["ions"]):
            continue  # an ion that is wrong is said already, and makes every sum meaningless
        boxes[index] = box
        if box.charge:
            parts = ", ".join(f"{ion['count']} x {ion['name']} {ion['charge']:+d}" for ion in box.ions)
            problems.add((*loc, "ions"), f"the charges sum to {box.charge:+d} ({parts}); {neutral_fix(box)}")
        if force_field == "clandp" and box.untyped:
            problems.add(
                (*loc, "force_field"),
                f"clandp has no types for {', '.join(box.untyped)}: give the path of an OpenMM force-field "
                "XML file that has them, or xtb",
            )
        step = draft.get("equilibration", "timestep_fs")
        if force_field == "xtb" and step not in (None, "auto") and step > XTB_TIMESTEP_FS:
            problems.add(
                ("equilibration", "timestep_fs"),
                f"{step:g} fs is too long for liquids[{index}], whose force_field is xtb: its bonds to hydrogen are not held "
                f"fixed; give {XTB_TIMESTEP_FS:g} or less, or auto",
            )
        if force_field == "xtb" or box.edge_A is None or cutoff is None:
            continue
        density = liquid["density_guess_kg_m3"]
        size = f"{box.atoms} atoms make a box of about {box.edge_A:.1f} A at {density:g} kg/m3"
        radius = chosen_cutoff_A(cutoff, box.edge_A)
        if radius < CUTOFF_LEAST_A:
            problems.add((*loc, "ions"), f"{size}: too small for a classical cut-off of 3 A; give more ions")
        elif radius > CUTOFF_LIMIT * box.edge_A:
            problems.add(
                (*loc, "ions"),
                f"{size}: too small for equilibration.cutoff_A {radius:g}, which needs "
                f"{radius / CUTOFF_LIMIT:.1f} A; give more ions, or cutoff_A auto",
            )
    return boxes


# --- The rest of the study -----------------------------------------------------------------------------


def repeated(values: list[Any]) -> list[Any]:
    """Return the values that occur more than once."""
    return [value for value, times in Counter(values).items() if times > 1]


def check_ids(draft: Draft, problems: Problems) -> None:
    """Refuse ids and seeds that are given twice."""
    for section, items in (("liquids", draft.liquids), ("models", draft.models)):
        first: dict[str, int] = {}
        for index, item in items.items():
            name = item.get("id")
            if name in first:
                problems.add((section, index, "id"), f"{name!r} is already the id of {section}[{first[name]}]")
            elif name in RESERVED and section == "models":
                what = {"reference": "measured values", "labels": "what made the labels"}[name]
                problems.add((section, index, "id"), f"{name!r} is the name of {what}: give another")
            elif name is not None:
                first[name] = index
    for value in repeated(list(draft.get("seeds") or ())):
        problems.add(("seeds",), f"{value} is given twice")


def is_trained(model: Mapping[str, Any]) -> bool:
    """Tell whether a model is trained in this study."""
    return model["framework"] in ("mace", "deepmd") and model.get("mode") != "zero-shot"


def is_imported(model: Mapping[str, Any]) -> bool:
    """Tell whether a model comes from elsewhere and is used as it is."""
    return model["framework"] == "ase" or model.get("mode") == "zero-shot"


def cutoff_of(model: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return the field and radius (A) of a model's cut-off; None where the weights bring their own."""
    if model.get("mode"):
        return None
    for name in ("r_max_A", "rcut_A"):
        if model.get(name) is not None:
            return name, model[name]
    return None


WEIGHTS_NEED = {
    "sha256": "of the weights: they are checked before they are opened",
    "licence": "of the weights, such as MIT",
    "theory": "that the weights imitate, such as PBE: it is compared with that of the labels",
}


def check_weights(index: int, model: Mapping[str, Any], places: Places, problems: Problems) -> None:
    """Judge what a model says about the weights that it starts from."""
    loc = ("models", index)
    own_class = model.get("framework") == "ase"
    if model.get("weights") is None:
        without = ("sha256", "weights_argument") if own_class else (*WEIGHTS_NEED, "mode", "head")
        for name in without:
            if model.get(name) is not None:
                problems.add(
                    (*loc, name),
                    f"{brief(model[name])}: weights are missing: give their path, or leave this out",
                )
        return
    needed = dict(WEIGHTS_NEED)
    if own_class:
        needed["weights_argument"] = "of the calculator: its name for the path of the weights"
    else:
        more = " or finetune" if model["framework"] == "deepmd" else ", finetune, replay or lora"
        needed["mode"] = f"of the weights' use: zero-shot{more}"
    for name, what in needed.items():
        if name in model and model[name] is None:
            problems.add((*loc, name), f"missing: the {name} {what}")
    if model.get("mode") == "zero-shot" and model.get("datasets"):
        problems.add((*loc, "datasets"), "a zero-shot model is not trained: leave datasets out")
    if model["framework"] == "deepmd" and model.get("mode") == "finetune" and not model["weights"].endswith(".pt"):
        text = f"{brief(model['weights'])}: a frozen model cannot be fine-tuned: give its checkpoint, a .pt file"
        problems.add((*loc, "weights"), text)
    if wrong := missing_file(places, model["weights"]):
        problems.add((*loc, "weights"), wrong)
        return
    path = places.path(model["weights"])
    if path is not None and model.get("sha256"):
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != model["sha256"]:
            problems.add((*loc, "sha256"), f"{model['weights']} has sha256 {digest.hexdigest()}, not this one")


def check_theory(index: int, model: Mapping[str, Any], labels: Any, problems: Problems) -> None:
    """Judge the level of theory of a model from elsewhere: against its own dispersion, and the labels it is tuned on."""
    theory, dispersion = model.get("theory"), model.get("dispersion")
    if model.get("framework") == "ase" and theory is None and "theory" in model:
        problems.add(("models", index, "theory"), "missing: the level of theory that the model imitates, such as PBE")
    if dispersion is not None and not is_imported(model):
        text = "is added to a zero-shot model only: what a model is trained on holds its dispersion; leave this out"
        problems.add(("models", index, "dispersion"), text)
    elif (
        dispersion is not None and theory and (wrong := theory_level.dispersion_problem(theory, dispersion.functional))
    ):
        problems.add(("models", index, "dispersion"), wrong)
    level = theory_level.level_of(labels)
    if not theory or not level or is_imported(model) or model.get("theory_change") or model.get("mode") == "replay":
        return
    if not theory_level.same_level(theory, level):
        problems.add(
            ("models", index, "theory"),
            f"{brief(theory)} is not that of the labels, {brief(level)}: label at the weights' level, use mode replay, which "
            "gives each level a head of its own, or say theory_change: true",
        )


def check_loss(index: int, model: Mapping[str, Any], problems: Problems) -> None:
    """Judge how a training falls and weighs its loss: a schedule that would rise, a term that would be left out in silence."""
    loc = ("models", index)
    first = model.get("learning_rate") or LEARNING_RATES.get(model.get("mode") or "", 0.01)
    final = model.get("final_learning_rate")
    if final is not None and final > first:
        problems.add((*loc, "final_learning_rate"), f"{final:g} is above the first learning rate, {first:g}")
    for letter in "efv":
        start, limit = model.get(f"start_pref_{letter}"), model.get(f"limit_pref_{letter}")
        if start is not None and limit is not None and (start == 0) != (limit == 0):
            zero = "start" if start == 0 else "limit"
            text = "0 leaves the term out for the whole training, the other end too: give both 0, or a small number"
            problems.add((*loc, f"{zero}_pref_{letter}"), text)
    weights = [model.get(f"{name}_weight") for name in ("energy", "forces", "stress")]
    weights = weights if model.get("framework") == "mace" else [model.get(f"start_pref_{letter}") for letter in "efv"]
    if all(weight == 0 for weight in weights):
        problems.add((*loc, "energy_weight" if model.get("framework") == "mace" else "start_pref_e"),
                     "0, and so are the weights of the other terms: nothing would be trained")  # fmt: skip


def check_models(draft: Draft, raw: Any, boxes: dict[int, Box], places: Places, problems: Problems) -> None:
    """Judge each model against the datasets, the boxes and its own weights."""
    given = raw.get("datasets")
    names = sorted(map(str, given)) if isinstance(given, dict) else []
    for index, model in draft.models.items():
        loc = ("models", index)
        framework = model.get("framework")
        if framework in ("mace", "deepmd", "ase"):
            check_weights(index, model, places, problems)
            check_theory(index, model, draft.get("labels"), problems)
        if framework in ("mace", "deepmd"):
            for place, name in enumerate(model.get("datasets") or ()):
                if name not in names:
                    known = f"known: {', '.join(names)}" if names else "the study has no datasets"
                    problems.add((*loc, "datasets", place), f"unknown dataset {name!r}; {known}")
            for name in repeated(list(model.get("datasets") or ())):
                problems.add((*loc, "datasets"), f"{name!r} is given twice")
            if is_trained(model) and not given:
                problems.add((*loc, "datasets"), "no dataset to train on: give datasets, such as {both: [eq, neq]}")
        frames, mode = model.get("replay_frames"), model.get("mode")
        if frames is not None and mode != "replay":
            problems.add((*loc, "replay_frames"), "is used by mode replay only")
        elif mode == "replay" and frames is None and "replay_frames" in model:
            problems.add((*loc, "replay_frames"), "missing: extxyz of the foundation model's own data, to replay")
        elif frames is not None and (wrong := missing_file(places, frames)):
            problems.add((*loc, "replay_frames"), wrong)
        if (part := model.get("freeze", "none")) != "none" and mode not in ("finetune", "replay"):
            problems.add((*loc, "freeze"), f"{part!r}: is used by modes finetune and replay only")
        smooth, radius, axis, widths = (model.get(k) for k in ("rcut_smth_A", "rcut_A", "axis_neurons", "neurons"))
        if smooth is not None and radius is not None and smooth >= radius:
            problems.add((*loc, "rcut_smth_A"), f"{smooth:g} is not below rcut_A {radius:g}")
        if axis is not None and widths is not None and axis > widths[-1]:
            problems.add((*loc, "axis_neurons"), f"{axis} is above {widths[-1]}, the last of neurons")
        check_loss(index, model, problems)
        cutoff = cutoff_of(model)
        for place, box in boxes.items():
            name = draft.liquids[place].get("id") or f"liquids[{place}]"
            if cutoff and box.edge_A and box.edge_A <= cutoff[1]:
                problems.add(
                    (*loc, cutoff[0]),
                    f"{cutoff[1]:g} A is more than the box of {name}, about {box.edge_A:.1f} A: "
                    "give a smaller cut-off or more ions",
                )
            if framework == "classical" and draft.liquids[place].get("force_field") == "xtb":
                problems.add(
                    (*loc, "framework"),
                    f"classical: the force field of {name} is xtb, which is not a classical one: give the "
                    "liquid a force field, or leave this model out",
                )


def made_groups(draft: Draft) -> dict[str, int]:
    """Return how many groups of each kind the sampling makes at least, as `sample_frames.py` makes them."""
    sampling = draft.get("sampling")
    # A liquid whose temperatures are wrong counts as one that has one.
    trajectories = sum(len(liquid.get("temperatures_K") or "?") for liquid in draft.liquids.values())
    made = {}
    if sampling.eq:
        made["eq"] = min(sampling.eq.frames, TRAJECTORY_GROUPS) * trajectories
    neq = sampling.neq
    groups = neq.packing.frames if neq.packing else 0
    if neq.oscillation:
        groups += min(neq.oscillation.frames, max(1, int(neq.oscillation.length_ps / neq.oscillation.period_ps)))
    # These are made from the frames of a trajectory, and are in their groups.
    groups += min(
        sum(recipe.frames for recipe in (neq.volume_scan, neq.rattle, neq.clusters, neq.ions) if recipe),
        TRAJECTORY_GROUPS,
    )
    if groups:
        made["neq"] = groups * len(draft.liquids)
    if draft.get("active"):
        made["active"] = 0  # of the groups to split: these are all trained on
    return made


def check_own_labels(draft: Draft, labels: Any, places: Places, problems: Problems) -> None:
    """Judge what the study says about labels that the user already has."""
    paths = labels.paths()
    for index, text in enumerate(paths):
        if wrong := missing_file(places, text, folder=True):
            problems.add(("labels", "frames") if isinstance(labels.frames, str) else ("labels", "frames", index), wrong)
    for text in repeated(list(paths)):
        problems.add(("labels", "frames"), f"{brief(text)} is given twice")
    if labels.stress_key and labels.virial_key:
        problems.add(("labels", "virial_key"), f"{brief(labels.virial_key)}: give stress_key or virial_key, not both")
    if labels.virial_key and labels.stress_unit not in (None, "eV/A^3"):
        problems.add(("labels", "stress_unit"), f"{labels.stress_unit}: a virial is in energy_unit: leave this out")
    if labels.format not in ("auto", "extxyz"):
        for name in ("energy", "forces", "stress", "virial", "group"):
            if getattr(labels, f"{name}_key") is not None:
                text = f"is for extxyz: {labels.format} has no names of its own: leave this out"
                problems.add(("labels", f"{name}_key"), text)
        for name in ("energy_unit", "forces_unit", "stress_unit", "stress_order"):
            if getattr(labels, name) is not None:
                known = f"the {'orders' if name == 'stress_order' else 'units'} of {labels.format} are known"
                text = f"is for extxyz: {known}: leave this out"
                problems.add(("labels", name), text)
    for index, liquid in draft.liquids.items():
        if liquid.get("id") == OTHER_LIQUID:
            text = f"{OTHER_LIQUID!r} is the name of imported frames of other compositions: give another"
            problems.add(("liquids", index, "id"), text)


def check_data(draft: Draft, raw: Mapping[str, Any], places: Places, problems: Problems) -> None:
    """Judge sampling, labels, datasets and split against each other."""
    sampling, labels = draft.get("sampling"), draft.get("labels")
    trained = [index for index, model in draft.models.items() if model.get("framework") and is_trained(model)]
    own = labels is not None and hasattr(labels, "frames")
    if hasattr(labels, "dispersion"):
        for name, text in theory_level.problems(labels.model_dump()):
            problems.add(("labels", name), text)
    if own:
        check_own_labels(draft, labels, places, problems)
        if raw.get("sampling") is not None:
            problems.add(("sampling",), "is not used with labels.frames: leave one of the two out")
    if trained:
        which = f"models[{trained[0]}] is trained"
        if raw.get("labels") is None:
            problems.add(("labels",), f"missing: {which}; give {{engine: xtb}}, or {{frames: ..., theory: ...}}")
        elif raw.get("sampling") is None and not own and labels is not None:
            problems.add(("sampling",), f"missing: {which}; give {{eq: {{frames: ...}}, neq: {{...}}}}")
    if sampling:
        scan = sampling.neq.volume_scan
        if scan and scan.scale_min >= scan.scale_max:
            text = f"{scan.scale_min:g} is not below scale_max {scan.scale_max:g}"
            problems.add(("sampling", "neq", "volume_scan", "scale_min"), text)
        packing = sampling.neq.packing
        if packing and packing.density_min_fraction >= packing.density_max_fraction:
            low, high = packing.density_min_fraction, packing.density_max_fraction
            text = f"{low:g} is not below density_max_fraction {high:g}"
            problems.add(("sampling", "neq", "packing", "density_min_fraction"), text)
        swing = sampling.neq.oscillation
        if swing and swing.period_ps > swing.length_ps:
            text = f"{swing.period_ps:g} ps is longer than the run, length_ps {swing.length_ps:g}"
            problems.add(("sampling", "neq", "oscillation", "period_ps"), text)
        if swing:
            for index, liquid in draft.liquids.items():
                coldest = min(liquid.get("temperatures_K") or (1e9,))
                if swing.temperature_amplitude_K >= coldest:
                    text = f"{swing.temperature_amplitude_K:g} K would cool liquids[{index}] below 0 K"
                    problems.add(("sampling", "neq", "oscillation", "temperature_amplitude_K"), text)
        if sampling.neq.ions:
            vacuum = sampling.neq.ions.vacuum_A
            for index, model in draft.models.items():
                if (cutoff := cutoff_of(model)) and cutoff[1] > vacuum:
                    text = f"{vacuum:g} A is less than {cutoff[0]} of models[{index}], {cutoff[1]:g} A: it would see an ion's images"
                    problems.add(("sampling", "neq", "ions", "vacuum_A"), text)
        if sampling.test_scan and not any(abs(scale - 1) < 1e-9 for scale in sampling.test_scan.scales):
            problems.add(("sampling", "test_scan", "scales"), "1.0 is missing: energies are relative to it")
        for name in NEED_FORCE_FIELD:
            for index, liquid in draft.liquids.items():
                if getattr(sampling.neq, name) and liquid.get("force_field") == "xtb":
                    text = "needs a classical force field, and that of "
                    text += f"liquids[{index}] is xtb: leave the recipe out"
                    problems.add(("sampling", "neq", name), text)
        check_oscillation(draft, sampling.neq.oscillation, problems)
        length, every = (draft.get("equilibration", name) for name in ("production_ps", "save_every_ps"))
        # The last tenth of a trajectory is kept for test_scan.
        usable = int(0.9 * int(length / every + 1e-9)) if length and every else None
        wanted = sampling.eq.frames * sampling.pool if sampling.eq else 0
        if usable is not None and wanted > usable:
            pool = f" and a pool of {sampling.pool}" if sampling.pool > 1 else ""
            problems.add(
                ("sampling", "eq", "frames"),
                f"{sampling.eq.frames} frames{pool}, but the equilibration has {usable} to give: production_ps "
                f"{length:g}, save_every_ps {every:g}, less a tenth for test_scan",
            )
    made = made_groups(draft) if sampling else None
    liquids = [liquid.get("id") for liquid in draft.liquids.values()]
    for name, entries in (draft.get("datasets") or {}).items():
        kinds, without = kinds_of(entries)
        for place, entry in enumerate(entries):
            if entry.startswith("-"):
                if entry[1:] not in liquids:
                    known = ", ".join(f"-{liquid}" for liquid in liquids if liquid)
                    problems.add(
                        ("datasets", name, place), f"{entry!r} leaves out no liquid of the study; known: {known}"
                    )
            elif entry not in KINDS:
                problems.add(("datasets", name, place), f"unknown kind {entry!r}; known: {', '.join(KINDS)}")
            elif made is not None and entry not in made and not own:
                what = {"eq": "sampling.eq", "neq": "a recipe in sampling.neq", "active": "active"}[entry]
                problems.add(
                    ("datasets", name, place),
                    f"no {entry} frames are sampled: give {what}, or leave {entry!r} out",
                )
        for entry in repeated(list(entries)):
            problems.add(("datasets", name), f"{entry!r} is given twice")
        if not kinds:
            problems.add(("datasets", name), f"no kind of frames is given: give {' or '.join(KINDS)}")
        if kinds == {"active"}:
            problems.add(("datasets", name), "the first round has no active frames: give eq or neq beside active")
        if without and without >= set(liquids):
            problems.add(("datasets", name), "every liquid is left out: leave one in")
        groups = sum((made or {}).get(kind, 0) for kind in kinds)
        if made is not None and 0 < groups < 3:
            text = f"{groups} groups of frames: training, validation and test need one each; sample more frames"
            problems.add(("datasets", name), text)
    check_active(draft, trained, own, problems)
    heldout = draft.get("heldout_frames")
    if heldout is not None and (wrong := missing_file(places, heldout)):
        problems.add(("heldout_frames",), wrong)
    valid, test = draft.get("split", "valid"), draft.get("split", "test")
    check_sizes(draft, problems, (1 - (valid or 0) - (test or 0)) if sampling else math.inf)
    if valid and test and valid + test > 0.8:
        problems.add(
            ("split",),
            f"valid {valid:g} and test {test:g} leave too little to train on: at most 0.8 together",
        )


def check_oscillation(draft: Draft, recipe: Any, problems: Problems) -> None:
    """Judge whether the runs whose box swings have a stop for each frame that is asked of them, and for each swing."""
    states = [len(liquid["temperatures_K"]) for liquid in draft.liquids.values() if liquid.get("temperatures_K")]
    if recipe is None or not states:
        return
    loc = ("sampling", "neq", "oscillation")
    each, stops = ceil(recipe.frames / min(states)), int(recipe.length_ps / SWING_STRIDE_PS + 1e-9)
    if each > stops:
        text = f"{recipe.frames} frames, but length_ps {recipe.length_ps:g} has room for {stops * min(states)}, "
        problems.add((*loc, "frames"), text + f"{SWING_STRIDE_PS:g} ps apart; give fewer, or a longer run")
    if recipe.period_ps < SWING_STOPS_LEAST * SWING_STRIDE_PS:
        text = f"{recipe.period_ps:g} ps: the box moves every {SWING_STRIDE_PS:g} ps, which is too seldom for it"
        problems.add((*loc, "period_ps"), text + f"; give {SWING_STOPS_LEAST * SWING_STRIDE_PS:g} or more")


def check_active(draft: Draft, trained: list[int], own: bool, problems: Problems) -> None:
    """Judge active learning: it needs committees, data to add to, walks, and an engine that labels."""
    active = draft.get("active")
    if active is None:
        return
    if own or not trained:
        problems.add(
            ("active",), "needs models that are trained here, and labels.engine" if own else "no model is trained"
        )
    if len(draft.get("seeds") or (1, 2)) < 2:
        problems.add(("seeds",), "1 is no committee: active needs two at least, such as [1, 2, 3]")
    datasets = draft.get("datasets") or {}
    if datasets and not any("active" in entries for entries in datasets.values()):
        problems.add(("active",), "no dataset takes its frames: give one such as {al: [eq, active]}")
    if not any(active.lengths_ps.values()):
        problems.add(("active", "npt_ps"), "0, as ramp_ps and swing_ps are: give one of the three a length")
    step = draft.get("md", "timestep_fs")
    if step and not is_multiple(active.every_fs, step):
        problems.add(("active", "every_fs"), f"{active.every_fs:g} is not a multiple of md.timestep_fs {step:g}")
    for name, length in active.lengths_ps.items():
        if 0 < length * 1000 < active.every_fs:
            problems.add(("active", name), f"{length:g} ps is shorter than every_fs {active.every_fs:g}")


def check_sizes(draft: Draft, problems: Problems, kept: float) -> None:
    """Judge the sizes of learning curves; `kept` is the share of frames to train on, infinite where they are not known."""
    sizes, sampling = draft.get("sizes") or (), draft.get("sampling")
    datasets = draft.get("datasets") or {}
    for size in repeated(list(sizes)):
        problems.add(("sizes",), f"{size} is given twice")
    if sizes:
        for name in datasets:
            if re.search(r"\.\d+$", name):
                problems.add(("datasets", name), "ends like a size, which sizes adds to names: give another name")
    if not sampling:
        return
    recipes = [getattr(sampling.neq, name) for name in NEQ_RECIPES]
    neq = sum(recipe.frames for recipe in recipes if recipe)
    for place, size in enumerate(sizes):
        for name, entries in datasets.items():
            kinds, without = kinds_of(entries)
            most = 0
            for liquid in draft.liquids.values():
                if liquid.get("id") not in without:
                    eq = sampling.eq.frames * len(liquid.get("temperatures_K") or "?") if sampling.eq else 0
                    most += eq * ("eq" in kinds) + neq * ("neq" in kinds)
            most = int(kept * most)
            if size >= most:
                problems.add(("sizes", place), f"{size} frames of {name}: it has about {most} to train on")


def is_multiple(time: float, step: float) -> bool:
    """Tell whether a time is a whole number of steps, one at least."""
    return time > 0.5 * step and abs(time / step - round(time / step)) < 1e-6


def check_md(draft: Draft, problems: Problems) -> None:
    """Judge time steps, lengths and saved frames of the dynamics."""
    step, every = draft.get("md", "timestep_fs"), draft.get("md", "save_every_fs")
    if step and every:
        if not is_multiple(every, step):
            problems.add(("md", "save_every_fs"), f"{every:g} is not a multiple of timestep_fs {step:g}")
        lengths = [draft.get("md", name) or 0 for name in ("npt_ps", "nvt_ps")]
        saved = sum(lengths) * 1000 / every
        if saved > SAVED_FRAMES_MAX:
            text = f"{every:g} saves {saved:.3g} frames of each run: at most {SAVED_FRAMES_MAX:g}; "
            text += "save less often"
            problems.add(("md", "save_every_fs"), text)
        if draft.get("md", "npt_ps") and lengths[0] * 1000 < every:
            problems.add(
                ("md", "npt_ps"),
                f"{lengths[0]:g} ps is shorter than save_every_fs {every:g}: no frame is saved",
            )
    given, save = (draft.get("equilibration", name) for name in ("timestep_fs", "save_every_ps"))
    fields = {liquid.get("force_field") for liquid in draft.liquids.values()} or {None}
    for step in sorted({equilibration_step_fs(given, force_field) for force_field in fields} if given and save else ()):
        if not is_multiple(save * 1000, step):
            text = f"{save:g} ps is not a multiple of equilibration.timestep_fs {step:g}"
            problems.add(("equilibration", "save_every_ps"), text)
    length = draft.get("equilibration", "production_ps")
    if length and save and (frames := int(length / save + 1e-9)) < SAVED_FRAMES_LEAST:
        text = f"{length:g} ps saves {frames} frames at save_every_ps {save:g}: at least {SAVED_FRAMES_LEAST}"
        problems.add(("equilibration", "production_ps"), text)


def check_references(
    draft: Draft, known: dict[str, Any], boxes: dict[int, Box], places: Places, problems: Problems
) -> list[dict[str, Any]]:
    """Return the rows of every reference file, and note what is wrong with them."""
    rows: list[dict[str, Any]] = []
    own = {ion["name"]: ion["charge"] for box in boxes.values() for ion in box.ions}
    ours = {name: entry["charge"] for name, entry in known.items()}
    # of a liquid that is wrong the ions are not known, which is said already
    whole = len(boxes) == len(draft.liquids)
    liquids = {composition({ion["name"]: ion["count"] for ion in box.ions}) for box in boxes.values()}
    for index, text in enumerate(draft.get("references") or ()):
        path, bundled = places.path(text), text.startswith("assets/")
        if path is None:
            problems.add(
                ("references", index),
                f"{brief(text)}: cannot be read from here: put it into assets/references",
            )
        elif wrong := missing_file(places, text):
            problems.add(("references", index), wrong)
        else:
            try:
                found = read_references(path, ours if bundled else ours | own if whole else None)
            except UserError as error:
                for line in error.errors:
                    problems.add(("references", index), line)
                continue
            rows += found
            # files that come with us are of many liquids; one of the user's own is of these
            if whole and not bundled and not any(row["composition"] in liquids for row in found):
                wanted = " or ".join(sorted(repr(spelled(liquid)) for liquid in liquids))
                told = f"{path.name}: none of its {len(found)} rows is of a liquid of this study: give {wanted}"
                problems.add(("references", index), told)
    return rows


# --- Cost and warnings ---------------------------------------------------------------------------------


@dataclass
class Counts:
    """How many frames each kind of a liquid has."""

    eq: int = 0
    neq: int = 0
    scan: int = 0
    active: int = 0  # that a round of active learning adds


def frame_counts(study: Study, index: int) -> Counts:
    """Return the frames that are labelled of one liquid; they come from the boxes of the first replica."""
    sampling = study.sampling
    if sampling is None:
        return Counts()
    trajectories = len(study.liquids[index].temperatures_K)
    recipes = [getattr(sampling.neq, name) for name in NEQ_RECIPES]
    return Counts(
        eq=sampling.eq.frames * trajectories if sampling.eq else 0,
        neq=sum(recipe.frames for recipe in recipes if recipe),
        scan=len(sampling.test_scan.scales) if sampling.test_scan else 0,
    )


def own_frames(study: Study, places: Places) -> int:
    """Return the number of the user's own labelled frames; 0 where they cannot be seen from here."""
    labels: Any = study.labels
    if not hasattr(labels, "frames"):
        return 0
    frames = 0
    for path in map(places.path, labels.paths()):
        if path is None:
            return 0
        if path.is_dir():
            frames += max(1, sum(file.is_file() for file in path.rglob("*")))
            continue
        with path.open(encoding="utf-8", errors="replace") as file:
            # Of the other formats, and in folders, one frame a file is counted: an estimate needs no more.
            frames += max(1, sum("Lattice=" in line for line in file))
    return frames


def melt_steps(study: Study, liquid: Any) -> float:
    """Return the time steps of the equilibration of one box of a liquid."""
    melt = study.equilibration
    length_ps = melt.anneal_ps + melt.cool_ps + melt.settle_ps + melt.production_ps
    return 1000 * length_ps / equilibration_step_fs(melt.timestep_fs, liquid.force_field)


def melt_core_s(study: Study, liquid: Any, box: Box) -> float:
    """Return the core-seconds of the equilibration of one box of a liquid."""
    steps = melt_steps(study, liquid)
    if liquid.force_field == "xtb":
        return steps * study_cost.LABELS["GFN1-xTB"].core_s(box.atoms)
    return study_cost.openmm_core_s(box.atoms, steps)


def estimate(study: Study, boxes: dict[int, Box], places: Places, explorations: int = 0) -> dict[str, Any]:
    """Return what the study will cost, as plan/estimate.json holds it.

    In a round of active learning, which has `explorations` of a liquid, only its own labels count: earlier ones are stored.
    """
    counts = {index: frame_counts(study, index) for index in boxes}
    if study.active and explorations:
        for count in counts.values():
            count.active = study.active.frames
    models = [model.model_dump() for model in study.models]
    md_steps = 1000 * (study.md.npt_ps + study.md.nvt_ps) / study.md.timestep_fs
    states = equilibrate_s = md_s = 0.0
    engine = getattr(study.labels, "engine", None)
    law = study_cost.LABELS[getattr(study.labels, "method", engine)] if engine else None
    labels = []
    for index, box in boxes.items():
        liquid = study.liquids[index]
        here = len(liquid.temperatures_K) * study.md.replicas
        states += here
        equilibrate_s += here * melt_core_s(study, liquid, box)
        frames = counts[index].eq + counts[index].neq + counts[index].scan + counts[index].active
        if study.active and explorations:
            steps = 1000 * sum(study.active.lengths_ps.values()) / study.md.timestep_fs
            walkers = [model for model in models if is_trained(model)]
            md_s += explorations * max(study_cost.md_core_s(model, box.atoms, steps) for model in walkers)
        if law:
            chunk = chunk_size(study, boxes, index)
            again = study.labels.spot_check_fraction  # type: ignore[union-attr]
            labels.append(study_cost.LabelWork(liquid.id, box.atoms, frames, chunk, again, law.core_s(box.atoms)))
        md_s += sum(here * times(study, model) * study_cost.md_core_s(model, box.atoms, md_steps) for model in models)
    kept = 1 - study.split.valid - study.split.test
    own = own_frames(study, places)
    mean_atoms = sum(box.atoms for box in boxes.values()) / len(boxes)
    trainings: list[float] = []
    for model in models:
        for _, name, size in mixtures(study, model) if is_trained(model) else ():
            kinds, without = kinds_of(study.datasets[name])
            taken = [count for index, count in counts.items() if study.liquids[index].id not in without]
            frames = own or sum(getattr(count, kind) for count in taken for kind in kinds)
            cost = study_cost.training_core_s(model, size or kept * frames, mean_atoms)
            trainings += [cost] * len(study.seeds)
    runs = int(states * sum(times(study, model) for model in models))
    stages = {
        "equilibrate": (int(states), "boxes", equilibrate_s),
        "label": (sum(w.frames for w in labels), "frames", sum((1 + w.again) * w.frames * w.core_s for w in labels)),
        "train": (len(trainings), "models", sum(trainings)),
        "md": (runs, "runs", md_s),
    }
    by_xtb = {box.atoms for index, box in boxes.items() if study.liquids[index].force_field == "xtb"}
    return study_cost.table(stages, study.budget_core_hours, labels, law, xtb_melts=sorted(by_xtb))


def chunk_size(study: Study, boxes: dict[int, Box], index: int) -> int:
    """Return how many frames of a liquid one task labels: the given number, or what auto means.

    Half an hour's worth, but a chain of ten at least, so that its cold start pays; few enough frames that a machine
    or a cluster has something to share out; and never more than `LABEL_TASKS_MAX` tasks in all. (Where that last rule
    decides, a study that grows cuts all its frames anew. The label store has those that were labelled.)
    """
    chunk = study.labels.chunk  # type: ignore[union-attr]
    if chunk != "auto":
        return int(chunk)
    engine = getattr(study.labels, "engine", "")
    core_s = study_cost.LABELS[getattr(study.labels, "method", engine)].core_s(boxes[index].atoms)
    counts = {place: frame_counts(study, place) for place in boxes}
    frames = {place: count.eq + count.neq + count.scan for place, count in counts.items()}
    shared = ceil(frames[index] / LABEL_TASKS_LEAST)
    # Each liquid's last chunk may be a small one.
    at_most = max(LABEL_TASKS_MAX - len(boxes), 1)
    return max(ceil(sum(frames.values()) / at_most), CHAIN_LEAST, min(int(LABEL_TASK_S / core_s), shared))


def check_budget(found: dict[str, Any], problems: Problems) -> None:
    """Refuse a study that costs more than its own budget."""
    if found["total_core_hours"] > found["budget_core_hours"]:
        parts = ", ".join(f"{row['stage']} {row['core_hours']:g}" for row in found["stages"] if row["core_hours"])
        problems.add(
            ("budget_core_hours",),
            f"{found['budget_core_hours']:g} is less than the {found['total_core_hours']:g} core-hours that "
            f"the plan needs ({parts}): plan less, or raise it",
        )


def warn(study: Study, boxes: dict[int, Box]) -> list[str]:
    """Return what a reader of the results must know beforehand, one line each."""
    lines = []

    def add(loc: tuple[Any, ...], text: str) -> None:
        lines.append(f"{path_text(loc)}: {text}")

    if study.labels is not None and getattr(study.labels, "engine", "") == "xtb":
        add(("labels", "engine"), "xtb: semi-empirical labels are for trying things out, not a reference")
    named = getattr(study.labels, "theory", None) if hasattr(study.labels, "dispersion") else None
    if named and named != (true := theory_level.name_of(study.labels.functional, study.labels.dispersion)):  # type: ignore[union-attr]
        add(("labels", "theory"), f"{named} with what is given beside it is {true}")
    if getattr(study.labels, "dispersion", "") == "none":
        add(
            ("labels", "dispersion"),
            "none: without a dispersion correction the density of a liquid is far too low",
        )
    for index, model in enumerate(study.models):
        known = levels(study, model)
        if known["same_theory"] is False:
            add(
                ("models", index, "theory"),
                theory_level.two_levels(model.id, known["theory"], known["labels_theory"]),
            )
    for index, box in boxes.items():
        liquid, loc = study.liquids[index], ("liquids", index)
        if liquid.force_field == "xtb":
            steps, hours = melt_steps(study, liquid), study_cost.rounded(melt_core_s(study, liquid, box))
            text = f"xtb: the equilibration of each box is {steps:.0f} steps of GFN1-xTB on one core, about {hours:g} core-hours"
            add((*loc, "force_field"), text)
            if study.equilibration.cutoff_A != "auto":
                add(("equilibration", "cutoff_A"), f"is not used for {liquid.id}, whose force_field is xtb")
        names = {ion["name"] for ion in box.ions}
        for place, kelvin in enumerate(liquid.temperatures_K):
            if names == {"pyr14", "bf4"} and kelvin < PYR14BF4_LIQUID_K:
                melts = f"PYR14BF4 melts at 424-{PYR14BF4_MELTS_K:g} K: call it supercooled"
                add((*loc, "temperatures_K", place), f"{kelvin:g} K: {melts}, or give {PYR14BF4_LIQUID_K:g} K")
        if box.pairs < LIQUID_PAIRS:
            add(
                (*loc, "ions"),
                f"{box.pairs:g} ion pairs are not the liquid: densities and structures depend on the box",
            )
        if study.md.nvt_ps and box.pairs < DIFFUSION_PAIRS:
            add(
                (*loc, "ions"),
                f"{box.pairs:g} ion pairs: diffusion is too slow in so small a box; it needs the Yeh-Hummer "
                "correction (finite_size_correction_m2_s)",
            )
    if study.md.timestep_fs > HYDROGEN_TIMESTEP_FS:
        add(
            ("md", "timestep_fs"),
            f"{study.md.timestep_fs:g} fs is too long for bonds to hydrogen: 0.5 fs is usual",
        )
    asked = study.md.save_every_fs != Md.model_fields["save_every_fs"].default
    for index, box in boxes.items() if asked else ():
        size_mb = trajectory.size_mb(1000 * (study.md.npt_ps + study.md.nvt_ps) / study.md.save_every_fs, box.atoms)
        if size_mb > study.md.max_trajectory_mb:
            every_fs = study.md.save_every_fs * ceil(size_mb / study.md.max_trajectory_mb)
            text = f"a run of {study.liquids[index].id} may make {size_mb:.0f} MB of frames, above max_trajectory_mb "
            text += f"{study.md.max_trajectory_mb:g}: they are kept every {every_fs:g} fs"
            add(("md", "save_every_fs"), text)
    by_openmm = [model.id for model in study.models if model.framework == "classical" and study.md.engine == "openmm"]
    if by_openmm and study.md.barostat_fs != Md.model_fields["barostat_fs"].default:
        text = f"is not used for {', '.join(by_openmm)}: OpenMM's barostat makes Monte Carlo moves and has no time constant"
        add(("md", "barostat_fs"), text)
    if study.md.npt_ps < DENSITY_PS:
        text = f"{study.md.npt_ps:g} ps is too short for a density to converge: give {DENSITY_PS:g} ps or more"
        add(("md", "npt_ps"), text)
    if 0 < study.md.nvt_ps < DIFFUSION_PS:
        text = f"{study.md.nvt_ps:g} ps is too short for diffusion to converge: give {DIFFUSION_PS:g} ps or more"
        add(("md", "nvt_ps"), text)
    return lines


def times(study: Study, model: Mapping[str, Any]) -> int:
    """Return how many models an entry stands for: one for each dataset and seed where it is trained."""
    return len(mixtures(study, model)) * len(study.seeds) if is_trained(model) else 1


def mixtures(study: Study, model: Mapping[str, Any]) -> list[tuple[str, str, int | None]]:
    """Return what a model is trained on: name, the dataset it is of, and the frames it is cut to (None: all)."""
    return [
        (name if size is None else f"{name}.{size}", name, size)
        for name in model["datasets"] or sorted(study.datasets)
        for size in (None, *sorted(study.sizes))
    ]


# --- Active learning ------------------------------------------------------------------------------------


def committees(study: Study) -> list[tuple[Any, str, list[str]]]:
    """Return the committees that explore: the model, the dataset, and the keys of the members that differ by seed."""
    found: list[tuple[Any, str, list[str]]] = []
    if study.active is None:
        return found
    for model in study.models:
        settings = model.model_dump()
        if is_trained(settings):
            for name, whole, size in mixtures(study, settings):
                if size is None and "active" in study.datasets[whole]:
                    found.append((model, name, [f"{model.id}-{name}-s{seed}" for seed in sorted(study.seeds)]))
    return found


def retrained(study: Study, before: Before) -> set[str]:
    """Return the keys of the models that go on from their weights of the round before: those that began from nothing."""
    own = [members for model, _, members in committees(study) if model.mode is None] if before.cards else []
    return {key for members in own for key in members}


def check_before(study: Study, before: Before, problems: Problems) -> None:
    """Judge the results that a round goes on from."""
    if study.active is None:
        problems.add(
            ("active",), f"missing: --previous {before.place} is for active learning; give active: {{frames: ...}}"
        )
        return
    if not before.cards:
        text = f"--previous {before.place}: holds no models/*/model.json: give the results of a round that has ended"
        problems.add(("active",), text)
        return
    for key in [key for _, _, members in committees(study) for key in members]:
        if key not in before.cards:
            problems.add(("active",), f"--previous {before.place}: has no model {key}: is it of another study?")


def plan_rounds(plan: "Plan", study: Study, rows: list[dict[str, Any]], before: Before) -> None:
    """Add the explorations of a round, and what is chosen of what they find."""
    explored = []
    own = study.active.model_dump() if study.active and before.round else {}
    md = {name: getattr(study.md, name) for name in ("timestep_fs", "thermostat_fs", "barostat_fs", "engine")}
    for liquid in study.liquids if own else ():
        name = f"{liquid.id}-active{before.round}"
        plan.json(f"choose/{name}.json", {"id": name, "liquid": liquid.id, "frames": own["frames"]})
        for kelvin in liquid.temperatures_K:
            state = f"{liquid.id}-{kelvin:g}K-r1"
            where = {"liquid": liquid.id, "temperature_K": kelvin, "pressure_bar": liquid.pressure_bar}
            for model, dataset, members in committees(study):
                key = f"{state}-{model.id}-{dataset}"
                place = next(
                    {name: row[name] for name in ("image", "environment")} for row in rows if row["key"] == members[0]
                )
                row = {"key": key, "liquid": liquid.id, "state": state, "dataset": dataset, **place}
                explored.append(row | {"members": " ".join(members)})
                settings = {**own, **md, **where, "id": key, "model": model.id, "dataset": dataset}
                settings["seed"] = (own["seed"] + seed_of(key)) % 2**31
                plan.json(f"explore/{key}.json", settings | {"round": before.round})
    columns = ("key", "liquid", "state", "dataset", "members", "image", "environment")
    plan.csv("explore.csv", columns, explored)


# --- The plan ------------------------------------------------------------------------------------------


def seed_of(key: str) -> int:
    """Return the seed of a box or state: from its key alone, so that a study that grows keeps what it has."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % (2**31 - 1) + 1


@dataclass
class Plan:
    """The files of a plan, by path."""

    files: dict[str, str] = field(default_factory=dict)

    def json(self, path: str, content: Any) -> None:
        """Add a JSON file."""
        self.files[path] = json.dumps(task.sealed(content), indent=2, sort_keys=True, allow_nan=False) + "\n"

    def csv(self, path: str, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
        """Add a CSV file; what is None is left empty, and true and false are written small."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            values = (row[name] for name in columns)
            writer.writerow([str(v).lower() if isinstance(v, bool) else "" if v is None else v for v in values])
        self.files[path] = text.getvalue()


MODEL_COLUMNS = (
    "key", "model", "framework", "dataset", "mixture", "size", "seed", "trained", "image", "environment", "role", "start",
    "theory", "labels_theory", "same_theory",
)  # fmt: skip


def start_of(study: Study, model: Any) -> str | None:
    """Return the key of the model that a tuned one started from: a zero-shot row of the study, or one that is only evaluated."""
    if getattr(model, "weights", None) is None or is_imported(model.model_dump()):
        return None
    for other in study.models:
        same = all(getattr(other, name, None) == getattr(model, name) for name in ("framework", "sha256", "head"))
        if same and is_imported(other.model_dump()) and other.dispersion is None:  # type: ignore[union-attr]
            return other.id
    return f"{model.id}-start"


def levels(study: Study, model: Any) -> dict[str, Any]:
    """Return the level of theory that a model from elsewhere imitates, that of the labels, and whether they are one."""
    level, theory = theory_level.level_of(study.labels), getattr(model, "theory", None)
    if level is None or theory is None or not is_imported(model.model_dump()):
        return {"theory": None, "labels_theory": level, "same_theory": None}
    added = getattr(model, "dispersion", None)
    theory = theory_level.level_with(theory, added.functional if added else None)
    return {"theory": theory, "labels_theory": level, "same_theory": theory_level.same_level(theory, level)}


def model_rows(study: Study) -> list[dict[str, Any]]:
    """Return the rows of models.csv: one for each model.

    ``image`` and ``environment`` say what it runs in, with containers and without. ``role`` is ``model``, ``start`` (the
    weights that a tuned model starts from, evaluated but not run) or ``labels`` (the labels' engine where it is cheap, of
    which only atoms and pairs are computed); ``start`` names the row of the weights that a tuned model starts from.
    ``dataset`` is the ``mixture`` of the study, cut to ``size`` frames where there is one. ``theory`` is the level that a
    model from elsewhere imitates, ``same_theory`` whether it is that of the labels.
    """
    rows: list[dict[str, Any]] = []
    for model in study.models:
        own = model.framework if model.framework in ("mace", "deepmd") else "analysis"
        places = {name: getattr(model, name, None) or own for name in ("image", "environment")}
        start = start_of(study, model)
        entry = {"model": model.id, "framework": model.framework, "role": "model", "start": start, **places}
        entry |= levels(study, model)
        settings = model.model_dump()
        if not is_trained(settings):
            rows.append({"key": model.id, **entry, "trained": False})
            continue
        if start == f"{model.id}-start":
            rows.append({"key": start, **entry, "trained": False, "model": start, "role": "start", "start": None})
        for dataset, mixture, size in mixtures(study, settings):
            for seed in study.seeds:
                key = f"{model.id}-{dataset}-s{seed}"
                data = {"dataset": dataset, "mixture": mixture, "size": size}
                rows.append({"key": key, **entry, **data, "seed": seed, "trained": True})
    if getattr(study.labels, "engine", None) == "xtb":
        places = {"image": "analysis", "environment": "analysis"}
        entry = {"model": "labels", "framework": "xtb", "role": "labels", "start": None, **places}
        rows.append({"key": "labels", **entry, "trained": False})
    return [dict.fromkeys(MODEL_COLUMNS) | row for row in rows]


def plan_models(
    plan: Plan, study: Study, boxes: dict[int, Box], rows: list[dict[str, Any]], theory: str | None, before: Before
) -> None:
    """Add the settings of every training and of every import, and the card of every other model."""
    settings = {model.id: model.model_dump(mode="json") for model in study.models}
    settings |= {f"{name}-start": own | {"dispersion": None} for name, own in settings.items()}
    settings["labels"] = {"framework": "xtb"} | (study.labels.model_dump(mode="json") if study.labels else {})
    elements = sorted({symbol for box in boxes.values() for symbol in box.elements})
    growing, going_on = {key for _, _, members in committees(study) for key in members}, retrained(study, before)
    for row in rows:
        own = settings[row["model"]]
        hidden = {"id", "framework", "datasets", "weights", "replay_frames"}
        given = {name: value for name, value in own.items() if name not in hidden}
        weights = own.get("weights")
        names = {"weights": Path(weights).name if weights else None}
        identity = {
            "id": row["key"],
            **{name: row[name] for name in ("model", "framework", "dataset", "seed")},
        }
        if row["trained"]:
            if "replay_frames" in own:
                names["replay_frames"] = Path(own["replay_frames"]).name if own["replay_frames"] else None
            if given["learning_rate"] is None:
                given["learning_rate"] = LEARNING_RATES.get(own["mode"], 0.01)
            if row["key"] in growing:
                given["round"] = before.round
                if row["key"] in going_on:
                    names["weights"] = "model.pt"
                    given |= {"mode": "finetune", "sha256": before.cards[row["key"]]["files"]["model.pt"]}
            plan.json(f"models/{row['key']}.json", {**identity, "theory_id": theory, **given, **names})
            continue
        if is_imported(own) or row["role"] == "start":
            kept = {name: own[name] for name in IMPORTED if name in own}
            plan.json(f"imports/{row['key']}.json", {**identity, **kept, **names, "liquid_elements": elements})
            continue
        card = {
            **identity,
            "versions": {},
            "files": {},
            "theory_id": None,
            "dataset_hash": None,
            "split_hash": None,
            "e0s_ev": None,
            "elements": None,
            "cutoff_A": None,
            "licence": None,
            "settings": {name: own[name] for name in ("method", "accuracy") if name in own},
            "cost": {"wall_s": 0.0},
        }
        if row["role"] != "model":
            card["role"] = row["role"]
        plan.json(f"cards/{row['key']}/model.json", card)


def make_plan(
    study: Study, boxes: dict[int, Box], references: list[dict[str, Any]], places: Places, before: Before | None = None
) -> Plan:
    """Return every file of the plan but its estimate and warnings."""
    before = before or Before()
    plan = Plan()
    plan.json("study.json", study.model_dump(mode="json"))
    melt = study.equilibration.model_dump(mode="json")
    labels = study.labels.model_dump(mode="json") if study.labels else {}
    theory_of = {"theory": labels["theory"]} if "frames" in labels else theory_settings(labels)
    theory = theory_id(theory_of) if labels else None
    own_paths = study.labels.paths() if isinstance(study.labels, OwnLabels) else ()
    rows = model_rows(study)
    box_rows, state_rows, run_rows, files = [], [], [], []
    measured: list[dict[str, Any]] = []
    for index, liquid in enumerate(study.liquids):
        box = boxes[index]
        assert box.edge_A is not None
        conditions = {"pressure_bar": liquid.pressure_bar, "force_field": liquid.force_field}
        for replica in range(1, study.md.replicas + 1):
            key = f"{liquid.id}-r{replica}"
            where = {"liquid": liquid.id, "replica": replica}
            box_rows.append({"key": key, **where})
            plan.json(
                f"boxes/{key}.json",
                {
                    "id": key,
                    **where,
                    "seed": seed_of(key),
                    "ions": box.ions,
                    "density_guess_kg_m3": liquid.density_guess_kg_m3,
                    "force_field": liquid.force_field,
                    "cutoff_A": chosen_cutoff_A(study.equilibration.cutoff_A, box.edge_A),
                },
            )
            if liquid.force_field not in ("clandp", "xtb"):
                files.append({"role": "force_field", "id": key, "path": places.locate(liquid.force_field)})
            for kelvin in liquid.temperatures_K:
                state = f"{liquid.id}-{kelvin:g}K-r{replica}"
                state_rows.append({"key": state, "box": key, **where, "temperature_K": kelvin})
                common = {**where, "temperature_K": kelvin, "seed": seed_of(state)}
                step = {"timestep_fs": equilibration_step_fs(study.equilibration.timestep_fs, liquid.force_field)}
                plan.json(f"states/{state}.json", {**melt, **step, **conditions, **common, "id": state})
                for model in (row for row in rows if row["role"] == "model"):
                    run = f"{state}-{model['key']}"
                    first = (replica - 1) // study.md.batch * study.md.batch
                    run_rows.append(
                        {
                            "key": run,
                            "liquid": liquid.id,
                            "state": state,
                            "model_key": model["key"],
                            "framework": model["framework"],
                            "batch": f"{liquid.id}-{kelvin:g}K-b{first + 1}-{model['key']}",
                            "batch_size": min(study.md.batch, study.md.replicas - first),
                        }
                    )
                    md = study.md.model_dump(mode="json", exclude={"replicas"})
                    plan.json(
                        f"runs/{run}.json",
                        {
                            **md,
                            **common,
                            "id": run,
                            "pressure_bar": liquid.pressure_bar,
                            "model": model["model"],
                            "model_key": model["key"],
                            "dataset": model["dataset"],
                            "model_seed": model["seed"],
                            "framework": model["framework"],
                        },
                    )
        if study.sampling and "engine" in labels:
            plan.json(
                f"samples/{liquid.id}.json",
                {
                    "id": liquid.id,
                    "liquid": liquid.id,
                    "seed": study.sampling.seed,
                    "temperatures_K": liquid.temperatures_K,
                    "sampling": study.sampling.model_dump(mode="json", exclude={"seed"}),
                    "chunk": chunk_size(study, boxes, index),
                },
            )
        counts = {ion["name"]: ion["count"] for ion in box.ions}
        measured += references_of(liquid.id, counts, liquid.temperatures_K, references)
    for model in rows:
        own = next((entry for entry in study.models if model["model"] in (entry.id, f"{entry.id}-start")), None)
        imported = own is not None and (is_imported(own.model_dump()) or model["role"] == "start")
        for role, name in (("own_model" if imported else "weights", "weights"), ("replay", "replay_frames")):
            if (text := getattr(own, name, None)) and not (imported and role == "replay"):
                files.append({"role": role, "id": model["key"], "path": places.locate(text)})
    files += [{"role": "weights", "id": key, "path": before.file(key)} for key in sorted(retrained(study, before))]
    files += [{"role": "labels", "id": "labels", "path": places.locate(text)} for text in own_paths]
    if study.heldout_frames is not None:
        files.append({"role": "heldout", "id": "heldout", "path": places.locate(study.heldout_frames)})
    plan.csv("boxes.csv", ("key", "liquid", "replica"), box_rows)
    plan.csv("states.csv", ("key", "box", "liquid", "temperature_K", "replica"), state_rows)
    sampled = [{"liquid": liquid.id} for liquid in study.liquids if f"samples/{liquid.id}.json" in plan.files]
    plan.csv("samples.csv", ("liquid",), sampled)
    plan.csv("models.csv", MODEL_COLUMNS, rows)
    plan.csv("runs.csv", ("key", "liquid", "state", "model_key", "framework", "batch", "batch_size"), run_rows)
    plan.csv("files.csv", ("role", "id", "path"), files)
    plan.csv("references.csv", REFERENCE_COLUMNS, measured)
    plan_models(plan, study, boxes, rows, theory, before)
    plan_rounds(plan, study, rows, before)
    # Chunk size and the allowed failures change no label: they are with the tasks that use them. Names that the
    # settings stand for are not needed any more.
    apart = {"chunk", "max_failed_fraction", "quality"} | ({"theory"} if "frames" not in labels else set())
    settings = {k: v for k, v in labels.items() if k not in apart}
    if own_paths:  # what IMPORT_LABELS needs besides: the ions that frames are looked through for
        settings |= {"frames": own_paths, "max_failed_fraction": labels["max_failed_fraction"]}
        settings["liquids"] = [
            {"id": liquid.id, "ions": boxes[index].ions} for index, liquid in enumerate(study.liquids)
        ]
    plan.json("labels.json", settings | {"theory_id": theory, "id": "labels"})
    if study.heldout_frames is not None:
        held = OwnLabels.model_validate({"frames": study.heldout_frames, "theory": "held out"}).model_dump(mode="json")
        held |= {"energy_key": ENERGY_KEY, "forces_key": FORCES_KEY, "stress_key": STRESS_KEY, "liquids": []}
        held |= {"frames": [study.heldout_frames], "theory_id": theory_id({"theory": "held out"}), "id": "heldout"}
        plan.json("heldout.json", held)
    # Where the study names no datasets every frame is there to test.
    mixed = mixtures(study, {"datasets": None})
    plan.json(
        "dataset.json",
        {
            "id": "dataset",
            "datasets": {name: sorted(study.datasets[whole]) for name, whole, _ in mixed},
            "sizes": {name: size for name, _, size in mixed if size},
            "split": study.split.model_dump(mode="json"),
            "max_failed_fraction": labels.get("max_failed_fraction", 0.05),
        },
    )
    return plan


def write_plan(plan: Plan, out: Path) -> None:
    """Write the files of a plan into a folder of their own; an earlier plan there is replaced."""
    if out.exists():
        if not (out / "study.json").is_file() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"out: {out}: exists and is not a plan: give another folder")
        shutil.rmtree(out)
    for name, text in sorted(plan.files.items()):
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


# --- The task ------------------------------------------------------------------------------------------


def read_text(path: Path) -> str:
    """Return the text of the study file; raises `UserError` where it cannot be read."""
    if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe or a device would be read for ever
        raise UserError(f"study: {path}: is no regular file")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_STUDY_BYTES + 1)
    except OSError as error:
        if task.is_resource(error):
            raise
        raise UserError(f"study: {path}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_STUDY_BYTES:
        raise UserError(f"study: {path}: is larger than {MAX_STUDY_BYTES // 1000} kB; is it a study?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"study: {path}: is not UTF-8 text (byte {error.start})") from error


def read_study(
    text: str, name: str, places: Places, outdir: str | None = None, before: Before | None = None
) -> tuple[Study, dict[int, Box], list[dict[str, Any]], dict[str, Any]]:
    """Return a study that is right in every way, its boxes, references and estimate.

    Raises `UserError` with one line for each mistake.
    """
    problems = Problems()
    known = library(places.assets)
    if not known:
        raise UserError(f"assets: {places.assets}: holds no ions (ions/*.yaml)")
    outdir_line = [f"outdir: {wrong}"] if outdir and (wrong := check_outdir(outdir)) else []
    try:
        raw = parse_yaml(text, name)
    except UserError as error:
        raise UserError(*error.errors, *outdir_line) from error
    draft = read_draft(raw, problems)
    references: list[dict[str, Any]] = []
    boxes: dict[int, Box] = {}
    if isinstance(raw, dict):
        check_ids(draft, problems)
        boxes = check_liquids(draft, raw, known, places, problems)
        check_models(draft, raw, boxes, places, problems)
        check_data(draft, raw, places, problems)
        check_md(draft, problems)
        references = check_references(draft, known, boxes, places, problems)
    if problems.found:
        raise UserError(*problems.lines(), *outdir_line)
    study = Study.model_validate(raw)
    if before and before.place:
        check_before(study, before, problems)
    explorations = sum(1 for _ in committees(study)) if before and before.cards else 0
    found = estimate(study, boxes, places, explorations)
    check_budget(found, problems)
    if problems.found or outdir_line:
        raise UserError(*problems.lines(), *outdir_line)
    return study, boxes, references, found


def plan_study(args: argparse.Namespace) -> None:
    """Do the work of the task: read, judge, write, and say what it costs."""
    base = args.base or str(args.study.resolve().parent)
    seen = not args.files_unseen and "://" not in base
    places = Places(base, args.assets, seen)
    before = read_before(args.previous, args.cards)
    study, boxes, references, found = read_study(read_text(args.study), args.study.name, places, args.outdir, before)
    plan = make_plan(study, boxes, references, places, before)
    warnings = warn(study, boxes)
    plan.json("estimate.json", found)
    plan.files["warnings.txt"] = "".join(f"{line}\n" for line in warnings)
    write_plan(plan, args.out)
    print(study_cost.text(found))
    for line in warnings:
        print(f"warning: {line}", file=sys.stderr)


def noting_errors(work: Callable[[], None], errors: Path | None) -> None:
    """Do the work; where the user has to act, also write the lines to a file."""
    try:
        work()
    except UserError as error:
        if errors is not None:
            errors.write_text("".join(f"{line}\n" for line in error.errors))
        raise


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, metavar="FILE", help="the study file, YAML")
    parser.add_argument(
        "--assets", type=Path, default=Path("assets"), metavar="DIR", help="folder with ions, references"
    )
    parser.add_argument("--out", type=Path, default=Path("plan"), metavar="DIR", help="folder to write the plan to")
    parser.add_argument("--outdir", metavar="DIR", help="folder of the results: checked that it can be written")
    parser.add_argument(
        "--base", metavar="DIR", help="what the study's paths are relative to (default: its own folder)"
    )
    parser.add_argument(
        "--files-unseen", action="store_true", help="do not look at the study's own files: they are elsewhere"
    )
    parser.add_argument("--previous", metavar="DIR", help="results of the round before, in active learning")
    parser.add_argument("--cards", type=Path, nargs="*", default=[], help="model cards (model.json) of that round")
    parser.add_argument("--errors", type=Path, metavar="FILE", help="file to write the mistakes to, one line each")
    parser.add_argument("--id", default="plan", help="key of the task")
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of the study file and stop")
    args = parser.parse_args(argv)
    if args.schema:
        print(schema(), end="")
        return 0
    if args.study is None:
        parser.error("--study is required")
    return task.run(
        "PLAN_STUDY", lambda: noting_errors(lambda: plan_study(args), args.errors), task_id=args.id, writes=[args.out]
    )
