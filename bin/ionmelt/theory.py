"""Levels of theory by name: what each stands for, where it comes from, and which engine has it.

A level of theory is a functional with its dispersion correction and pseudopotentials (`THEORIES`); a quality is a
basis set, cut-offs and a convergence (`quality_settings`). `complete` puts both in place of their names, so that
what is hashed, run and reported is always the settings themselves: a level spelled out by hand is the same level.

D3 and D3(BJ) are the two-body terms alone, as their parameters were fitted; D4 has its three-body term.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ionmelt.mistakes import listed

QUALITIES = ("economy", "production")

# DOIs.
PBE = "10.1103/PhysRevLett.77.3865"
REVPBE = "10.1103/PhysRevLett.80.890"
R2SCAN = "10.1021/acs.jpclett.0c02405"
D3 = "10.1063/1.3382344"
D3_BJ = "10.1002/jcc.21759"
D4 = "10.1063/1.5090222"
R2SCAN_D = "10.1063/5.0041008"
B97_3C = "10.1063/1.5012601"


@dataclass(frozen=True)
class Theory:
    """A functional with its dispersion correction, and the DOIs that define them."""

    functional: str
    dispersion: str
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Program:
    """A DFT program: what a quality sets there beside the basis, its further settings, and which levels it does not have.

    Attributes: `grids`, of the qualities economy and production; `defaults`, further settings that change the energy, where the
    study does not give them; `refused`, levels by name and why; `lacks`, dispersion corrections and what to take instead;
    `by_gpu`, functionals whose forces it has on a GPU only.
    """

    name: str
    grids: tuple[Mapping[str, float], Mapping[str, float]]
    defaults: Mapping[str, float] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    lacks: Mapping[str, str] = field(default_factory=dict)
    by_gpu: tuple[str, ...] = ()


THEORIES = {
    "PBE-D3(BJ)": Theory("PBE", "D3(BJ)", (PBE, D3, D3_BJ)),
    "revPBE-D3": Theory("revPBE", "D3", (REVPBE, D3)),
    "revPBE-D3(BJ)": Theory("revPBE", "D3(BJ)", (REVPBE, D3, D3_BJ)),
    "r2SCAN": Theory("r2SCAN", "none", (R2SCAN,)),
    "r2SCAN-D3(BJ)": Theory("r2SCAN", "D3(BJ)", (R2SCAN, D3, D3_BJ, R2SCAN_D)),
    "r2SCAN-D4": Theory("r2SCAN", "D4", (R2SCAN, D4, R2SCAN_D)),
    "B97-3c": Theory("B97-3c", "D3(BJ)", (B97_3C,)),
}

# Functional -> pseudopotentials and, by quality, the basis sets that were made for them. There are no GTH
# pseudopotentials of revPBE and r2SCAN: those of PBE and SCAN are what is in use.
POTENTIALS = {"PBE": "GTH-PBE", "revPBE": "GTH-PBE", "BLYP": "GTH-BLYP", "r2SCAN": "GTH-SCAN"}
BASES = {
    "GTH-PBE": ("DZVP-MOLOPT-SR-GTH", "TZV2P-MOLOPT-PBE-GTH"),
    "GTH-BLYP": ("DZVP-MOLOPT-SR-GTH", "TZV2P-MOLOPT-PBE-GTH"),
    "GTH-SCAN": ("DZVP-MOLOPT-SCAN-GTH", "TZV2P-MOLOPT-SCAN-GTH"),
}
# Which damping was fitted for which functional (the tables of D3, D3(BJ), D4 and of Ehlert et al. for r2SCAN).
FITTED = {
    "D3": ("PBE", "revPBE", "BLYP"),
    "D3(BJ)": ("PBE", "revPBE", "BLYP", "r2SCAN"),
    "D4": ("PBE", "revPBE", "BLYP", "r2SCAN"),
}
META_GGA = ("r2SCAN",)

# A meta-GGA needs finer grids: these, (economy, production). Forces of LiF (r2SCAN-D3(BJ), CP2K 2023.1, DZVP) at 400, 800 and
# 1200 Ry: 244, 3 and 0.3 meV/A off the slope of the energy at most; net force 594, 102 and 36 meV/A, of the 71 that a
# label of two atoms may have. LiBF4: 219 at 1200 Ry, 107 at 1600 and 38 at 2000, of 122; its forces differ by up to 155 between
# 1200 and 1600 Ry, and by up to 61 (root mean square 24) between 1600 and 2000.
META_GGA_CUTOFF_RY = (1600.0, 2000.0)
META_GGA_REL_CUTOFF_RY = 60.0


def quality_settings(program: Program, quality: str, functional: str) -> dict[str, Any]:
    """Return the potential, basis, cut-offs (Ry) and SCF convergence (Ha) that a quality stands for."""
    index = QUALITIES.index(quality)
    potential = POTENTIALS[functional]
    grid = dict(program.grids[index])
    if functional in META_GGA:
        grid["cutoff_Ry"] = META_GGA_CUTOFF_RY[index]
        if "rel_cutoff_Ry" in grid:
            grid["rel_cutoff_Ry"] = META_GGA_REL_CUTOFF_RY
    return {"potential": potential, "basis": BASES[potential][index], **grid}


def complete(labels: Mapping[str, Any], program: Program) -> dict[str, Any]:
    """Return a labels section of a DFT program with what its `theory`, `quality` and defaults stand for; what is given wins.

    A theory without a quality is of production quality. Names that are not known are left as they are.
    """
    given = {key: value for key, value in labels.items() if value is not None}
    meant: dict[str, Any] = dict(program.defaults)
    named = given.get("theory")
    if isinstance(named, str) and named in THEORIES:
        meant |= {"functional": THEORIES[named].functional, "dispersion": THEORIES[named].dispersion}
        meant["quality"] = "production"
    quality, functional = ((meant | given).get(key) for key in ("quality", "functional"))
    if quality in QUALITIES and isinstance(functional, str) and functional in POTENTIALS:
        meant |= quality_settings(program, str(quality), functional)
    return meant | given


def name_of(functional: str, dispersion: str) -> str:
    """Return the name of a functional with its dispersion correction, such as PBE-D3(BJ)."""
    return functional if dispersion == "none" else f"{functional}-{dispersion}"


def problem(
    program: Program, functional: str, dispersion: str, named: str | None = None, on_gpu: bool = False
) -> tuple[str, str] | None:
    """Return what a DFT program cannot do of a level of theory, `named` so in a study or None: (field, what would be right)."""
    if named in program.refused:
        return "theory", f"{named!r} cannot be had with {program.name.lower()}: {program.refused[str(named)]}"
    if dispersion in program.lacks:
        return "dispersion", f"{dispersion!r}: {program.name} has none here; {program.lacks[dispersion]}"
    if functional in program.by_gpu and not on_gpu:
        text = f"{functional!r}: {program.name} has its forces on a GPU only; use device: cuda, or engine: cp2k"
        return "functional", text
    if dispersion in FITTED and functional not in FITTED[dispersion]:
        return "dispersion", f"there is no {dispersion} for {functional}; use {' or '.join(fits(functional, program))}"
    return None


def fits(functional: str, program: Program) -> list[str]:
    """Return the dispersion corrections that were fitted for a functional and that a program has."""
    fitted = [name for name, functionals in FITTED.items() if functional in functionals]
    return [name for name in fitted if name not in program.lacks] or ["none"]


# --- Levels of models that come from elsewhere -----------------------------------------------------------

# What names a dispersion correction, or a functional that has one in it.
HAS_DISPERSION = re.compile(r"d[234]\b|d3\(|mbd|\bts\b|vdw|vv10|wb97m-v|-v\b|xdm", re.IGNORECASE)


def two_levels(theories: Mapping[str, str], labels_theory: str) -> str:
    """Say what the errors of models mean whose level of theory is not that of the labels; ``theories``: levels by model."""
    models: dict[str, list[str]] = {}
    for model, theory in theories.items():
        models.setdefault(theory, []).append(model)
    said = [
        f"{listed(names)} {'imitates' if len(names) == 1 else 'imitate'} {theory}" for theory, names in models.items()
    ]
    its, model = ("its", "the model") if len(theories) == 1 else ("their", "the models")
    return (
        f"{', '.join(said)}, the labels are {labels_theory}: {its} errors on them are those of {model} and of the "
        "difference between the two levels, and cannot be told apart"
    )


def level_with(theory: str, functional: str | None) -> str:
    """Return the level of a model to which D3(BJ) of a functional (None: nothing) is added."""
    return theory if functional is None else f"{theory}-D3(BJ)"


def same_level(a: str, b: str) -> bool:
    """Tell whether two texts name one functional and dispersion correction; basis and program, after / or a comma, do not count."""
    return plain_name(a) == plain_name(b)


def plain_name(theory: str) -> str:
    """Return what tells levels of theory apart: letters and digits before any basis set or program, in small letters."""
    name = re.split(r"[/,;]| by | with ", theory.casefold())[0]
    return re.sub(r"[^a-z0-9+]", "", name)


def dispersion_problem(theory: str, functional: str) -> str | None:
    """Return what is wrong with adding the D3(BJ) of a functional to a model of a level of theory, or None."""
    if HAS_DISPERSION.search(theory):
        return f"{theory!r} has a dispersion correction already: it would count twice; leave this out"
    # a Hubbard U acts on d and f electrons: the parameters are those of the functional
    named = [name for name in POTENTIALS if plain_name(name) == plain_name(theory).removesuffix("+u")]
    if named and named[0] != functional:
        return f"the model imitates {theory!r}, these are the parameters of {functional}: give functional: {named[0]}"
    return None
