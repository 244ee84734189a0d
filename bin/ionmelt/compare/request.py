"""What a study asks for, as far as the comparison needs it: read from study.json as the plan wrote it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ionmelt.compare.groups import Row
from ionmelt.frames.settings import WALKS

ACTIVE = "active"  # the kind of frames that active learning adds


@dataclass(frozen=True)
class Request:
    """The ions of each liquid; the models in their order; the kinds of each named dataset; the lengths of runs and walks.

    ``planned_ps`` is the length of a run, None where the study runs none; ``walks_ps`` that of all walks of a committee, None
    where the study has no active learning. ``refines``: equilibrium frames are taken from the dynamics of the round before.
    """

    ions: Mapping[str, tuple[str, ...]]
    models: tuple[str, ...]
    datasets: Mapping[str, tuple[str, ...]]
    planned_ps: float | None
    has_nvt: bool
    walks_ps: float | None
    margins: Mapping[str, float] = field(default_factory=dict)
    refines: bool = False
    timestep_fs: float | None = None

    @property
    def growing(self) -> list[str]:
        """The datasets that active learning adds to."""
        return sorted(name for name, kinds in self.datasets.items() if ACTIVE in kinds)


def request_of(study: Row) -> Request:
    """Return what a study asks for; sections that it leaves out are empty."""
    md, active = study.get("md") or {}, study.get("active")
    equilibrium = (study.get("sampling") or {}).get("eq") or {}
    return Request(
        ions={liquid["id"]: tuple(liquid["ions"]) for liquid in study.get("liquids", [])},
        models=tuple(model["id"] for model in study.get("models", [])),
        datasets={name: tuple(kinds) for name, kinds in (study.get("datasets") or {}).items()},
        planned_ps=md["npt_ps"] + md["nvt_ps"] if {"npt_ps", "nvt_ps"} <= md.keys() else None,
        has_nvt=md.get("nvt_ps", 1) != 0,
        walks_ps=None if active is None else sum(active[f"{walk}_ps"] for walk in WALKS),
        margins={
            name.removesuffix("_percent"): percent / 100
            for name, percent in (study.get("margins") or {}).items()
            if percent is not None
        },
        refines=equilibrium.get("refine", 0) > 0,
        timestep_fs=md.get("timestep_fs"),
    )
