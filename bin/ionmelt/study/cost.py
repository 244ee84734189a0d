"""What a study will cost, from figures measured on two CPU cores without a GPU.

An estimate to decide by, good to a factor of a few: it is there so that a plan of years is refused before it
starts. Times are CPU core-seconds; a power law carries each figure from the atoms it was measured with to
those of the plan. Larger basis sets than the DZVP that was measured cost more: `priced` puts what ESTIMATE_LABELS
measures of the study's own labels, on the machine at hand, in the place of what is assumed of them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import log
from typing import Any

CORES = 2  # that every figure below was measured on


@dataclass(frozen=True)
class Law:
    """Wall seconds of one evaluation, seconds * (atoms / at)^power, and what they were measured with."""

    seconds: float
    at: int
    power: float
    source: str = ""

    def core_s(self, atoms: int) -> float:
        """Return the core-seconds of one evaluation with this many atoms."""
        return CORES * self.seconds * (atoms / self.at) ** self.power


def through(at: int, seconds: float, at_2: int, seconds_2: float, source: str) -> Law:
    """Return the law through two measured points."""
    return Law(seconds, at, log(seconds_2 / seconds) / log(at_2 / at), source)


# Energy, forces and stress of one frame.
CP2K = through(35, 60.0, 70, 150.0, "CP2K 2023.1, PBE-D3, DZVP, one and two PYR14BF4 pairs")
LABELS = {
    "GFN1-xTB": through(70, 0.4, 280, 7.0, "tblite 0.8.0, 70 and 280 atoms"),
    "GFN2-xTB": through(70, 1.4, 280, 12.0, "tblite 0.8.0, 70 and 280 atoms"),
    "cp2k": CP2K,
    "pyscf": Law(128.0, 35, CP2K.power, "PySCF 2.14, energy and forces of one PYR14BF4 pair; the power is CP2K's"),
}
# What the figures below were measured with, for a reader of the table.
SOURCES = {
    "equilibrate": "CL&P in OpenMM, 1800 atoms",
    "label": "no label is computed",
    "train": "MACE 32x0e+32x1o, r 4.5 A; DeePMD se_e2_a; 70 atoms",
    "md": "MACE 32x0e+32x1o, r 4.5 A; DeePMD se_e2_a; 560 atoms",
}

MACE_ATOM_STEPS_S = 1031.0  # MD of 32x0e+32x1o, r 4.5 A, float32
MACE_TRAIN_ATOM_S = 70.0 / (250 * 70)  # s for one atom in one gradient step of the same model
MACE_FLOAT64 = 3.0  # float64 is slower by about this
DEEPMD_ATOM_STEPS_S = 6674.0  # MD of se_e2_a, compressed
DEEPMD_TRAIN_ATOM_S = 110.0 / (1000 * 70)
OPENMM_ATOM_STEPS_S = 1800 / 0.028  # CL&P, 12 A
OPENMM_STEP_S = 1e-3  # no step is faster, however few the atoms
CLASSICAL_NPT_EVALUATIONS = 3  # energy and forces, and two energies for the pressure


def mace_size(model: dict[str, Any]) -> float:
    """Return about how much slower a MACE model is than the one measured, from its size."""
    size = model["channels"] / 32 * (model["max_L"] + 1) ** 2 / 4 * (model["r_max_A"] / 4.5) ** 3
    return max(size * model["interactions"] / 2 * (MACE_FLOAT64 if model["dtype"] == "float64" else 1.0), 0.1)


def openmm_core_s(atoms: int, steps: float) -> float:
    """Return the core-seconds of classical MD."""
    return CORES * steps * max(atoms / OPENMM_ATOM_STEPS_S, OPENMM_STEP_S)


def md_core_s(model: dict[str, Any], atoms: int, steps: float) -> float:
    """Return the core-seconds of molecular dynamics with a model."""
    framework = model["framework"]
    if framework == "xtb":
        return steps * LABELS[model["method"]].core_s(atoms)
    if framework == "classical":
        return CLASSICAL_NPT_EVALUATIONS * openmm_core_s(atoms, steps)
    if framework == "ase":  # nothing is known of it: as slow as a foundation model of MACE
        model = {"channels": 128, "max_L": 1, "r_max_A": 6.0, "interactions": 2, "dtype": "float32"}
    speed = DEEPMD_ATOM_STEPS_S if framework == "deepmd" else MACE_ATOM_STEPS_S / mace_size(model)
    return CORES * steps * atoms / speed


def training_core_s(model: dict[str, Any], frames: float, atoms: float) -> float:
    """Return the core-seconds of one training on `frames` frames of `atoms` atoms each."""
    if model["framework"] == "deepmd":
        return CORES * model["steps"] * model["batch_size"] * atoms * DEEPMD_TRAIN_ATOM_S
    return CORES * model["epochs"] * frames * atoms * MACE_TRAIN_ATOM_S * mace_size(model)


@dataclass(frozen=True)
class LabelWork:
    """Frames of one liquid to label: how many, of how many atoms, in chunks of how many, and the cost assumed of one."""

    liquid: str
    atoms: int
    frames: int
    chunk: int
    again: float  # share that is labelled a second time, to compare
    core_s: float


@dataclass(frozen=True)
class Probe:
    """What the labels of one liquid's box took on the machine at hand: wall seconds of a cold and a chained start."""

    liquid: str
    atoms: int
    threads: int
    cold_s: float
    chained_s: float
    engine_version: str

    def core_s(self, frames: int, chunk: int, again: float) -> tuple[float, float]:
        """Return core-seconds of frames in chunks whose first starts cold, and of as many cold starts.

        The share `again` of the frames is labelled a second time from a cold start, to be compared.
        """
        chunks = -(-frames // chunk)
        chained = min(self.chained_s, self.cold_s)
        chain = (chunks + again * frames) * self.cold_s + (frames - chunks) * chained
        return self.threads * chain, self.threads * frames * self.cold_s


def rounded(core_s: float) -> float:
    """Return core-hours to the three figures that an estimate may show."""
    return float(f"{core_s / 3600:.3g}")


def table(
    stages: dict[str, tuple[int, str, float]],
    budget_core_hours: float,
    labels: list[LabelWork],
    law: Law | None,
    xtb_melts: Sequence[int] = (),
) -> dict[str, Any]:
    """Return the estimate as the plan holds it, from {stage: (count, of what, core-seconds)}.

    `xtb_melts`: the atoms of each box that xtb equilibrates.
    """
    sources = SOURCES | ({"label": law.source} if law else {})
    if xtb_melts:
        atoms = ", ".join(map(str, xtb_melts))
        sources["equilibrate"] += f"; boxes of {atoms} atoms by GFN1-xTB: {LABELS['GFN1-xTB'].source}"
    rows = [
        {
            "stage": stage,
            "count": count,
            "unit": unit,
            "core_hours": rounded(core_s),
            "basis": "assumed",
            "source": sources[stage],
        }
        for stage, (count, unit, core_s) in stages.items()
    ]
    return {
        "basis": f"measured on {CORES} CPU cores without a GPU; good to a factor of a few",
        "budget_core_hours": budget_core_hours,
        "total_core_hours": rounded(sum(core_s for _, _, core_s in stages.values())),
        "stages": rows,
        "labels": [asdict(work) for work in labels],
    }


def priced(estimate: dict[str, Any], probes: list[Probe]) -> dict[str, Any]:
    """Return the estimate with the labels' stage as the probes measured it, and its total anew."""
    of = {probe.liquid: probe for probe in probes}
    costs = [
        of[work["liquid"]].core_s(work["frames"], work["chunk"], work["again"])
        for work in estimate["labels"]
        if work["frames"]
    ]
    core_s, cold_s = (sum(cost[place] for cost in costs) for place in (0, 1))
    parts = [
        f"{probe.liquid}, {probe.atoms} atoms: {probe.cold_s:.3g} s cold, {probe.chained_s:.3g} s chained "
        f"on {probe.threads} {'thread' if probe.threads == 1 else 'threads'}"
        for probe in probes
    ]
    source = f"{probes[0].engine_version}; {'; '.join(parts)}; if every start were cold: {rounded(cold_s):g} core-hours"
    stages = [
        row | {"core_hours": rounded(core_s), "basis": "measured", "source": source} if row["stage"] == "label" else row
        for row in estimate["stages"]
    ]
    total = sum(row["core_hours"] for row in stages)
    return estimate | {
        "basis": f"assumed figures were measured on {CORES} CPU cores without a GPU, elsewhere: good to a factor of a few",
        "stages": stages,
        "total_core_hours": rounded(total * 3600),
        "probes": [asdict(probe) for probe in probes],
    }


def text(estimate: dict[str, Any]) -> str:
    """Return the estimate as a short table to print."""
    lines = [f"{'stage':<12}{'count':>8}  {'':<8}{'core-hours':>10}"]
    for row in estimate["stages"]:
        line = f"{row['stage']:<12}{row['count']:>8}  {row['unit']:<8}{row['core_hours']:>10g}"
        lines.append(f"{line}  {row['basis']}: {row['source']}" if row["core_hours"] else line)
    lines.append(f"{'total':<12}{'':>8}  {'':<8}{estimate['total_core_hours']:>10g}")
    total, budget = estimate["total_core_hours"], estimate["budget_core_hours"]
    over = f", less than the {total:g} that the plan needs: plan less, or raise it" if total > budget else ""
    lines.append(f"budget_core_hours is {budget:g}{over}; {estimate['basis']}")
    return "\n".join(lines)
