"""What a run leaves: run.json, thermo.parquet and the trajectories of its phases."""

from pathlib import Path

import polars as pl

from ionmelt import files
from ionmelt.checkpoint import Chain
from ionmelt.dynamics import trajectory
from ionmelt.dynamics.phases import PHASES, Segment, Simulation
from ionmelt.dynamics.record import RunRecord
from ionmelt.dynamics.recorder import COLUMN
from ionmelt.dynamics.settings import RunSettings
from ionmelt.dynamics.thermo import THERMO
from ionmelt.models.device import device_name


def record_of(simulation: Simulation, asked_fs: float, resumed: int) -> RunRecord:
    """Return the record of a run that has ended.

    `asked_fs` is the interval between frames that the study asks for; `resumed` segments were there when it was taken up.
    """
    settings, n_atoms = simulation.settings, len(simulation.atoms)
    segments = simulation.chain.segments
    survived = {}
    for phase in PHASES:
        steps = [segment.survived for segment in segments if segment.phase == phase]
        survived[phase] = (steps[-1] if steps else 0) * settings.timestep_fs / 1000
    wall_s = sum(segment.wall_s for segment in segments)
    survived_steps = sum(survived.values()) * 1000 / settings.timestep_fs
    return RunRecord(
        **settings.model_dump(exclude={"engine"}),
        engine=simulation.engine.engine,
        save_every_asked_fs=asked_fs,
        planned_ps=settings.npt_ps + settings.nvt_ps,
        survived_ps=round(sum(survived.values()), 6),
        npt_planned_ps=settings.npt_ps,
        npt_survived_ps=round(survived["npt"], 6),
        nvt_planned_ps=settings.nvt_ps,
        nvt_survived_ps=round(survived["nvt"], 6),
        end=(segments[-1].end if segments else None) or "completed",
        detail=segments[-1].detail if segments else None,
        protons_away=max((segment.protons_away for segment in segments), default=0),
        n_atoms=n_atoms,
        segments=len(segments),
        segments_resumed=resumed,
        atom_steps_per_s=round(survived_steps * n_atoms / wall_s, 1) if wall_s else None,
        wall_s=round(wall_s, 1),
        device=device_name(simulation.atoms.calc),
        probe=simulation.engine.probe,
    )


def write_results(out: Path, settings: RunSettings, chain: Chain[Segment]) -> None:
    """Write the trajectory of each phase and thermo.parquet from the segments, one in memory at a time."""
    tables, writers = [pl.DataFrame(schema=THERMO)], {}
    for segment, arrays in chain:
        phase, thermo, frames = segment.phase, arrays["thermo"], arrays["frames"]
        table = pl.DataFrame(thermo, schema=dict.fromkeys(COLUMN, pl.Float64)).fill_nan(None)
        table = table.with_columns(pl.lit(phase).alias("phase"), pl.col("step").cast(pl.Int64))
        tables.append(table.select(*THERMO))
        if len(frames):
            if phase not in writers:
                writers[phase] = trajectory.Writer(out / f"{phase}.xtc")
            steps = thermo[thermo[:, 0] % settings.steps(settings.save_every_fs) == 0, 0]
            writers[phase].write(frames, arrays["edges"], steps, steps * settings.timestep_fs / 1000)
    for writer in writers.values():
        writer.close()
    files.write_table(pl.concat(tables, rechunk=True), out / "thermo.parquet")
