"""Active learning, or a refined equilibrium, from round to round: how far runs survive, what they give, and whether a further round can change it.

A round is judged by what a user wants of the model, survival and density, and not by its force errors: those of the frames that
a committee picked say how odd the frames are. It is over where the interval of the change since the round before lies within a
tolerance (two one-sided tests): a wide interval is no reason to stop.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace

import polars as pl

from ionmelt.compare.groups import grouped
from ionmelt.compare.request import ACTIVE, Request
from ionmelt.models.card import Card
from ionmelt.tables.comparison import ROUNDS

SAME_DENSITY = 0.02  # of the density: what a further round may still change in a model that has converged
SAME_SURVIVAL = 0.05  # of the planned time
WALKS = {"npt": "constant pressure", "ramp": "rising temperature", "swing": "swinging box"}
KEYS = ("liquid", "temperature_K", "model", "dataset")


@dataclass(frozen=True)
class Round:
    """What a round made of one committee in one state: the columns of the table `rounds`."""

    round: int
    liquid: str
    temperature_K: float
    model: str
    dataset: str
    train_frames: int
    active_frames: int
    runs: int
    survived_share: float | None
    density_kg_m3: float | None = None
    density_ci95_low_kg_m3: float | None = None
    density_ci95_high_kg_m3: float | None = None
    density_converged: bool | None = None
    scan_energy_rmse_ev_per_atom: float | None = None
    force_rmse_ev_a: float | None = None
    worth_above_ev_a: float | None = None
    median_disagreement_ev_a: float | None = None
    offered_share: float | None = None
    walked_share: float | None = None
    density_change_kg_m3: float | None = None
    density_change_ci95_low_kg_m3: float | None = None
    density_change_ci95_high_kg_m3: float | None = None
    verdict: str = "not judged"
    reason: str | None = None

    @property
    def density_half_kg_m3(self) -> float | None:
        """Half of the interval of the density."""
        low, high = self.density_ci95_low_kg_m3, self.density_ci95_high_kg_m3
        return None if low is None or high is None else (high - low) / 2


def number_of(cards: Iterable[Card]) -> int | None:
    """Return the round that the models of a run are of; None where the study has no rounds."""
    return max((card.settings.round for card in cards if card.settings.round is not None), default=None)


def having(rows: pl.DataFrame, values: Mapping[str, object]) -> pl.DataFrame:
    """Return the rows that have these values."""
    return rows.filter([pl.col(name).eq_missing(pl.lit(value)) for name, value in values.items()])


@dataclass(frozen=True)
class Number:
    """A number of the table `summary` with its interval; None: not known."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    converged: bool | None = None


def number_in(summary: pl.DataFrame, **values: object) -> Number:
    """Return the number of the first row of the table `summary` that has these values, or one that is not known."""
    rows = having(summary, values).select("value", "ci95_low", "ci95_high", "converged").rows()
    return Number(*rows[0]) if rows else Number()


def this_round(t: dict[str, pl.DataFrame], asked: Request, number: int) -> list[Round]:
    """Return what this round made of each state and committee, where the equilibrium is refined of each trained model."""
    rounds = []
    train = t["dataset"].filter(pl.col("split") == "train")
    is_new = pl.col("dataset").is_not_null() if asked.refines else pl.col("dataset").is_in(asked.growing)
    survival = t["survival"].filter(is_new)
    for key, runs in grouped(survival, list(KEYS)):
        frames = train.filter(pl.col("dataset") == key["dataset"])
        density = number_in(t["summary"], property="density", **key)
        trained = {"model": key["model"], "dataset": key["dataset"]}
        planned = sum(run["planned_ps"] or 0 for run in runs)
        this = Round(
            round=number,
            liquid=key["liquid"],
            temperature_K=key["temperature_K"],
            model=key["model"],
            dataset=key["dataset"],
            train_frames=frames.height,
            active_frames=frames.filter(pl.col("kind") == ACTIVE).height,
            runs=len(runs),
            survived_share=sum(run["survived_ps"] or 0 for run in runs) / planned if planned else None,
            density_kg_m3=density.value,
            density_ci95_low_kg_m3=density.low,
            density_ci95_high_kg_m3=density.high,
            density_converged=density.converged,
            force_rmse_ev_a=number_in(t["summary"], property="force_rmse", **trained).value,
            scan_energy_rmse_ev_per_atom=number_in(
                t["summary"], property="scan_energy_rmse", liquid=key["liquid"], **trained
            ).value,
        )
        rounds.append(with_walks(this, having(t["exploration"], key), asked.walks_ps))
    return rounds


def with_walks(this: Round, walks: pl.DataFrame, walks_ps: float | None) -> Round:
    """Return a round with what its committee said on its walks, which were to be ``walks_ps`` long in all."""
    if not walks.height:
        return this
    walked = walks.group_by("walk").agg(pl.col("time_ps").max())["time_ps"].sum()
    return replace(
        this,
        worth_above_ev_a=walks["worth_above_ev_a"][0],
        median_disagreement_ev_a=walks.select(pl.median("disagreement_ev_a")).item(),
        offered_share=walks.select(pl.mean("offered")).item(),
        walked_share=float(walked) / walks_ps if walks_ps else None,
    )


def judged(now: Round, before: Round | None) -> Round:
    """Return a round with its verdict: what changed since the round before, in survival and density."""
    if before is None:
        return replace(now, reason="there is no round before to compare with")
    if now.survived_share is None or before.survived_share is None:
        return replace(now, reason="a round has no runs")
    if abs(now.survived_share - before.survived_share) > SAME_SURVIVAL:
        words = f"runs survive {now.survived_share:.0%} of their planned time, {before.survived_share:.0%} before"
        return replace(now, verdict="changed", reason=words)
    halves = now.density_half_kg_m3, before.density_half_kg_m3
    if None in halves or now.density_kg_m3 is None or before.density_kg_m3 is None:
        return replace(now, reason="a round has no density with an interval")
    change = now.density_kg_m3 - before.density_kg_m3
    half = math.hypot(*(h for h in halves if h is not None))
    limit = SAME_DENSITY * before.density_kg_m3
    now = replace(
        now, density_change_kg_m3=change, density_change_ci95_low_kg_m3=change - half,
        density_change_ci95_high_kg_m3=change + half,
    )  # fmt: skip
    if abs(change) + half <= limit:
        if now.density_converged and before.density_converged:
            words = f"survival within {SAME_SURVIVAL:.0%}, density within {limit:.0f} kg/m3 of the round before"
            return replace(now, verdict="unchanged", reason=words)
        words = "no change is seen in the density, but it is not converged: runs broke, are missing or are too short"
        return replace(now, reason=words)
    if abs(change) > half:
        return replace(now, verdict="changed", reason="the density differs from that of the round before")
    words = (
        f"the density's change is known to {half:.0f} kg/m3, and {limit:.0f} is asked for: longer runs, or more boxes"
    )
    return replace(now, reason=words)


def table(t: dict[str, pl.DataFrame], asked: Request, number: int | None, before: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of all rounds so far; ``before`` holds those of the earlier ones."""
    if number is None:
        return pl.DataFrame(schema=ROUNDS)
    last = [Round(**row) for row in before.filter(pl.col("round") == number - 1).select(*ROUNDS).to_dicts()]
    earlier = {(r.liquid, r.temperature_K, r.model, r.dataset): r for r in reversed(last)}
    rounds = [
        judged(now, earlier.get((now.liquid, now.temperature_K, now.model, now.dataset)))
        for now in this_round(t, asked, number)
    ]
    new = pl.DataFrame([asdict(now) for now in rounds], schema=ROUNDS)
    return pl.concat([before.select(*ROUNDS), new]).sort("round", *KEYS)
