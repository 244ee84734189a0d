"""The estimate of what a study will cost: estimate.json of a plan, and as ESTIMATE_LABELS has measured it.

An estimate to decide by, good to a factor of a few: it is there so that a plan of years is refused before it
starts. Times are CPU core-seconds; a power law carries each figure from the atoms it was measured with to
those of the plan. Larger basis sets than the DZVP that was measured cost more: `Estimate.priced` puts what
ESTIMATE_LABELS measures of the study's own labels, on the machine at hand, in the place of what is assumed of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ionmelt.laws import CORES
from ionmelt.settings import SettingsFile

MEASURED = (
    f"as once measured on boxes of the atoms named, on {CORES} CPU cores without a GPU; good to a factor of a few"
)


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

    def core_s(self, work: LabelWork) -> float:
        """Return core-seconds of frames in chunks whose first starts cold.

        The share `again` of the frames is labelled a second time from a cold start, to be compared.
        """
        chunks = -(-work.frames // work.chunk)
        chained = min(self.chained_s, self.cold_s)
        return self.threads * ((chunks + work.again * work.frames) * self.cold_s + (work.frames - chunks) * chained)

    def cold_core_s(self, work: LabelWork) -> float:
        """Return core-seconds of as many cold starts as there are frames."""
        return self.threads * work.frames * self.cold_s

    def words(self) -> str:
        """Return what was measured, for a reader of the table."""
        threads = f"{self.threads} {'thread' if self.threads == 1 else 'threads'}"
        seconds = f"{self.cold_s:.3g} s cold, {self.chained_s:.3g} s chained"
        return f"{self.liquid}, {self.atoms} atoms: {seconds} on {threads}"


@dataclass(frozen=True)
class Stage:
    """A stage of a study: how many of what its tasks make, core-seconds of all, and what of the study they are scaled from what."""

    name: Literal["equilibrate", "label", "train", "md"]
    count: int
    unit: str
    core_s: float
    source: str


@dataclass(frozen=True)
class StageCost:
    """A row of the estimate: what a stage costs, and whether that is assumed or measured, with what."""

    stage: str
    count: int
    unit: str
    core_hours: float
    basis: Literal["assumed", "measured"]
    source: str


def core_hours(core_s: float) -> float:
    """Return core-seconds as core-hours, to the three figures that an estimate may show."""
    return float(f"{core_s / 3600:.3g}")


class Estimate(SettingsFile):
    """What a study will cost: estimate.json."""

    basis: str
    budget_core_hours: float
    total_core_hours: float
    stages: tuple[StageCost, ...]
    labels: tuple[LabelWork, ...]
    probes: tuple[Probe, ...] = ()  # none where labels are only assumed

    def priced(self, probes: Sequence[Probe]) -> "Estimate":
        """Return the estimate with the labels' stage as the probes measured it, and its total anew."""
        of_liquid = {probe.liquid: probe for probe in probes}
        works = [work for work in self.labels if work.frames]
        core_s = sum(of_liquid[work.liquid].core_s(work) for work in works)
        cold_s = sum(of_liquid[work.liquid].cold_core_s(work) for work in works)
        words = "; ".join(probe.words() for probe in probes)
        source = f"{probes[0].engine_version}; {words}; if every start were cold: {core_hours(cold_s):g} core-hours"
        stages = [
            replace(row, core_hours=core_hours(core_s), basis="measured", source=source)
            if row.stage == "label"
            else row
            for row in self.stages
        ]
        return Estimate(
            basis=f"assumed: {MEASURED}",
            budget_core_hours=self.budget_core_hours,
            total_core_hours=core_hours(sum(row.core_hours for row in stages) * 3600),
            stages=tuple(stages),
            labels=self.labels,
            probes=tuple(probes),
        )

    def content(self) -> dict[str, Any]:
        """Return the JSON object of the file."""
        return self.model_dump(mode="json", exclude=None if self.probes else {"probes"})

    def text(self) -> str:
        """Return the estimate as a short table to print."""
        lines = [f"{'stage':<12}{'count':>8}  {'':<8}{'core-hours':>10}"]
        for row in self.stages:
            line = f"{row.stage:<12}{row.count:>8}  {row.unit:<8}{row.core_hours:>10g}"
            lines.append(f"{line}  {row.basis}: {row.source}" if row.core_hours else line)
        total, budget = self.total_core_hours, self.budget_core_hours
        lines.append(f"{'total':<12}{'':>8}  {'':<8}{total:>10g}")
        over = f", less than the {total:g} that the plan needs: plan less, or raise it" if total > budget else ""
        lines.append(f"budget_core_hours is {budget:g}{over}; {self.basis}")
        return "\n".join(lines)


def scaled_from(measured: Sequence[tuple[str, str]]) -> str:
    """Return of what, each with what its cost was measured with, in words: "a, b: from X; c: from Y"."""
    users: dict[str, dict[str, None]] = {}  # by what was measured, in the order given
    for name, source in measured:
        users.setdefault(source, {})[name] = None
    return "; ".join(
        f"{', '.join(names)}: {f'from {source}' if source else 'a guess'}" for source, names in users.items()
    )


def assumed(stages: Sequence[Stage], budget_core_hours: float, labels: Sequence[LabelWork]) -> Estimate:
    """Return the estimate of a plan, before anything was measured of it."""
    return Estimate(
        basis=f"assumed: {MEASURED}",
        budget_core_hours=budget_core_hours,
        total_core_hours=core_hours(sum(stage.core_s for stage in stages)),
        stages=tuple(
            StageCost(stage.name, stage.count, stage.unit, core_hours(stage.core_s), "assumed", stage.source)
            for stage in stages
        ),
        labels=tuple(labels),
    )
