"""What a study will cost, from figures measured on two CPU cores without a GPU.

An estimate to decide by, good to a factor of a few: it is there so that a plan of years is refused before it
starts. Times are CPU core-seconds; a power law carries each figure from the atoms it was measured with to
those of the plan. Larger basis sets than the DZVP that was measured cost more: `priced` puts what ESTIMATE_LABELS
measures of the study's own labels, on the machine at hand, in the place of what is assumed of them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ionmelt.labels.engines import ENGINES
from ionmelt.laws import CORES, Law

# Energy, forces and stress of one frame, by the name of the method or the engine.
LABELS = {name: law for engine in ENGINES.values() for name, law in engine.laws.items()}
# What the figures below were measured with, for a reader of the table.
SOURCES = {
    "equilibrate": "CL&P in OpenMM, 1800 atoms",
    "label": "no label is computed",
    "train": "MACE 32x0e+32x1o, r 4.5 A; DeePMD se_e2_a; 70 atoms",
    "md": "MACE 32x0e+32x1o, r 4.5 A; DeePMD se_e2_a; 560 atoms",
}


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
