"""ESTIMATE_POWER: how much the classical liquids of a study fluctuate, and what differences between models its design can decide.

Reads the plan and the state folders; writes power.parquet and a line for each property, for the screen. This
comes before the first training: a study that cannot decide its questions can still be changed.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import numpy as np
import polars as pl

from ionmelt import files, task
from ionmelt.arguments import command_line
from ionmelt.compare.power import Fluctuation, contests, power_rows, sentences, table
from ionmelt.compare.reading import read_plan_csv
from ionmelt.compare.request import request_of
from ionmelt.compare.truth import labellers
from ionmelt.liquid.record import EquilibrationRecord
from ionmelt.measure.displacement import remove_drift, unwrap
from ionmelt.measure.simulation import ANGSTROM_M
from ionmelt.measure.slope import DiffusionEstimate, diffusion
from ionmelt.topology import Topology

HEAD = "what can be told apart, from how the classical liquid fluctuates, if trainings do not differ (power 80 %):"
LEAST_EFFECTIVE = 10.0  # samples without which nothing is known of a fluctuation


def of_density(records: Sequence[EquilibrationRecord], npt_ps: float) -> Fluctuation:
    """Return how much the density of a state fluctuates, its boxes together."""
    state = Fluctuation(records[0].liquid, records[0].temperature_K, "density", None, None, None)
    errors = [(one, one.standard_error_kg_m3, one.n_effective) for one in records]
    seen = [(one, error, n) for one, error, n in errors if error is not None and n is not None and n >= LEAST_EFFECTIVE]
    if not seen:
        return replace(state, reason="not known: the equilibration has too few independent samples of the density")
    # a variance of the mean falls as the length grows
    variance = mean(error**2 * one.phases_ps["production"] for one, error, _ in seen) / npt_ps
    effective = mean(n / one.phases_ps["production"] for one, _, n in seen) * npt_ps
    value = mean(one.density_kg_m3 for one, _, _ in seen)
    return replace(state, value=value, run_error=math.sqrt(variance), dof=max(1.0, effective - 1))


def of_diffusion(folders: Sequence[Path], nvt_ps: float) -> Iterator[Fluctuation]:
    """Yield how well the diffusion coefficient of each kind of ion is known from a run; `folders`: the boxes of one state."""
    record = EquilibrationRecord.read(folders[0] / "equilibration.json")
    boxes = [moving(folder) for folder in folders]
    for name in boxes[0].of:
        state = Fluctuation(record.liquid, record.temperature_K, "diffusion", name, None, None)
        good = [(box.of[name], box.length_ps) for box in boxes if box.of[name].converged]
        if not good:
            yield replace(state, reason="not known: the equilibration is too short to see its diffusion")
            continue
        variance = sum(d.standard_error**2 * length_ps for d, length_ps in good) / len(good) / nvt_ps
        value, dof = sum(d.D for d, _ in good) / len(good), min(d.dof for d, _ in good)
        yield replace(state, value=value, run_error=math.sqrt(variance), dof=max(1.0, dof))


@dataclass(frozen=True)
class Moving:
    """The diffusion (m2/s) of each kind of ion in a box, and the length (ps) that it was seen over."""

    of: dict[str, DiffusionEstimate]
    length_ps: float


def moving(folder: Path) -> Moving:
    """Return how the ions of an equilibration move. Its thermostat slows them: what counts is how well that is known."""
    from mdtraj.formats import DCDTrajectoryFile

    topology = Topology.load(folder / "topology.json")
    length_ps = EquilibrationRecord.read(folder / "equilibration.json").phases_ps["production"]
    with DCDTrajectoryFile(str(folder / "trajectory.dcd")) as file:
        positions, edges, _ = file.read()
    paths = unwrap(topology.centres(positions), edges)
    paths = remove_drift(paths, np.add.reduceat(topology.masses_u, topology.starts))
    step_s = 1e-12 * length_ps / len(positions)
    names = [ion["name"] for ion in topology.ions]
    return Moving(
        {name: diffusion(paths[:, topology.molecule_ion == name], step_s).scaled(ANGSTROM_M**2) for name in names},
        length_ps,
    )


def comparisons_of(models: pl.DataFrame, running: Sequence[str] | None = None) -> tuple[int, int]:
    """Return how many models of a plan are trained, seeds apart, and how many are not; `models`: models.csv, `running`: md.models."""
    rows = models.filter(pl.col("role") == "model").select("model", "dataset").unique()
    rows = rows if running is None else rows.filter(pl.col("model").is_in(list(running)))
    trained = rows.filter(pl.col("dataset").fill_null("") != "").height
    return trained, rows.height - trained


def estimate_power(plan: Path, states: Sequence[Path]) -> pl.DataFrame:
    """Return the table `power` of a study."""
    study = files.read_json(plan / "study.json")
    labels = files.read_json(plan / "labels.json") if (plan / "labels.json").is_file() else {}
    md, asked = study["md"], request_of(study)
    trained, others = comparisons_of(read_plan_csv(plan, "models.csv"), md["models"])
    truths = [name for name in labellers(study, labels) if md["models"] is None or name in md["models"]]
    truth = md["truth_times"] if truths else None
    compared = contests(len(study["seeds"]), md["replicas"], trained, others, truth)
    seen = []
    for folders in by_state(states):
        seen.append(
            of_density([EquilibrationRecord.read(folder / "equilibration.json") for folder in folders], md["npt_ps"])
        )
        seen += of_diffusion(folders, md["nvt_ps"]) if md["nvt_ps"] else []
    pairs = math.comb(trained, 2) + trained * others + math.comb(others, 2)
    return table(power_rows(seen, compared, max(1, pairs * len(seen)), dict(asked.margins)))


def by_state(states: Sequence[Path]) -> list[list[Path]]:
    """Return the state folders of each liquid and temperature together, in their order."""
    groups: dict[tuple[str, float], list[Path]] = {}
    for folder in sorted(states):
        record = EquilibrationRecord.read(folder / "equilibration.json")
        groups.setdefault((record.liquid, record.temperature_K), []).append(folder)
    return list(groups.values())


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = command_line(__doc__, "--id", "--out")
    parser.add_argument("--plan", type=Path, required=True, help="folder that PLAN_STUDY wrote")
    parser.add_argument("--words", type=Path, required=True, metavar="power.txt", help="what it says, for the screen")
    parser.add_argument("--states", type=Path, nargs="+", required=True, help="state folders, of EQUILIBRATE")
    args = parser.parse_args(argv)

    def work() -> None:
        power = estimate_power(args.plan, args.states)
        files.write_table(power, args.out)
        lines = [f"  {line}" for line in sentences(power)]
        args.words.write_text("".join(f"{line}\n" for line in [HEAD, *lines] if lines), encoding="utf-8")

    return task.run("ESTIMATE_POWER", work, task_id=args.id, reads=[args.plan, *args.states])
