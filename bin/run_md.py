#!/usr/bin/env python3
"""Run the molecular dynamics of one liquid with one model: NPT, then NVT at the mean density.

Every model runs the same integrators from the same equilibrated box with the same seeds. The run is
watched: when a bond breaks, the temperature or the volume runs away, atoms collide or a number is not
finite, it stops there, keeps what it has, and says why in run.json. Such a run is a result: exit code 0.

Writes the run folder: run.json, thermo.parquet, npt.dcd, nvt.dcd (unwrapped), topology.pdb, topology.json.
"""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import polars as pl
from ase import Atoms
from mdtraj.formats import DCDTrajectoryFile

import il_md
import il_models
import il_task
from il_topology import Topology

THERMO_FS = 10.0  # densities and pressures are kept this often
# The mean density of the NVT run is taken over this last part of the NPT run.
NPT_USED = 0.5


def rescale_ions(atoms: Atoms, topology: Topology, volume_A3: float) -> None:
    """Bring the box to a volume by moving whole ions, in place: their bonds keep their lengths."""
    factor = (volume_A3 / atoms.get_volume()) ** (1 / 3)
    centres = topology.centres(atoms.positions)
    atoms.positions += (centres * (factor - 1))[topology.molecule]
    atoms.set_cell(atoms.cell * factor, scale_atoms=False)


class Recorder:
    """Keep the thermodynamics and the trajectory of one phase."""

    def __init__(self, path: Path, phase: str, atoms: Atoms, settings: dict[str, Any], rows: list[dict]) -> None:
        self.file = DCDTrajectoryFile(str(path), "w", force_overwrite=True)
        self.phase, self.atoms, self.rows = phase, atoms, rows
        self.timestep_fs = settings["timestep_fs"]
        self.save_every = max(1, round(settings["save_every_fs"] / self.timestep_fs))
        self.mass_u = atoms.get_masses().sum()
        self.degrees = 3 * len(atoms) - (3 if phase == "nvt" else 0)

    def sample(self, step: int) -> None:
        """Add one row, and one frame when it is due."""
        atoms, volume = self.atoms, self.atoms.get_volume()
        kinetic = atoms.get_kinetic_energy()
        pressure = None
        if self.phase == "npt":
            stress = atoms.get_stress()[:3].mean()
            pressure = (2 * kinetic / (3 * volume) - stress) / il_md.BAR
        self.rows.append(
            {
                "phase": self.phase,
                "step": step,
                "time_ps": step * self.timestep_fs / 1000,
                "potential_energy_ev": atoms.get_potential_energy(),
                "kinetic_energy_ev": kinetic,
                "temperature_K": il_md.mean_kinetic_temperature(atoms, self.degrees),
                "pressure_bar": pressure,
                "volume_A3": volume,
                "density_kg_m3": self.mass_u / volume * il_md.DENSITY_KG_M3,
            }
        )
        if step % self.save_every == 0:
            self.file.write(
                atoms.positions.astype(np.float32)[None],
                cell_lengths=atoms.cell.lengths().astype(np.float32)[None],
                cell_angles=np.full((1, 3), 90, np.float32),
            )

    def close(self) -> None:
        """Close the trajectory."""
        self.file.close()


def run_phase(
    phase: str, atoms: Atoms, topology: Topology, settings: dict[str, Any], out: Path, rows: list[dict]
) -> tuple[float, il_md.Ended | None]:
    """Run one phase (``npt`` or ``nvt``) in place; return the time survived in ps and why it ended early."""
    planned_ps = settings[f"{phase}_ps"]
    timestep_fs = settings["timestep_fs"]
    steps = round(planned_ps * 1000 / timestep_fs)
    rng = np.random.default_rng([settings["seed"], ["npt", "nvt"].index(phase)])
    common = {
        "timestep_fs": timestep_fs,
        "temperature_K": settings["temperature_K"],
        "thermostat_fs": settings["thermostat_fs"],
        "rng": rng,
    }
    il_md.draw_velocities(atoms, settings["temperature_K"], rng)
    if phase == "npt":
        barostat = {"pressure_bar": settings["pressure_bar"], "barostat_fs": settings["barostat_fs"]}
        dynamics = il_md.npt(atoms, **common, **barostat)
    else:
        dynamics = il_md.nvt(atoms, **common)
    watch = il_md.Watch(atoms, topology.bonds, topology.molecule, settings["temperature_K"])
    recorder = Recorder(out / f"{phase}.dcd", phase, atoms, settings, rows)
    # A stride divides the interval at which frames are kept, so that no frame is missed.
    per_frame = max(1, round(recorder.save_every * timestep_fs / THERMO_FS))
    while recorder.save_every % per_frame:
        per_frame -= 1
    stride = recorder.save_every // per_frame
    done, ended, start, shown = 0, None, time.perf_counter(), 0.0
    for done, ended in il_md.segments(dynamics, steps, stride, recorder.sample, watch):
        now = time.perf_counter()
        if now - shown > 20 or done == steps or ended:
            shown = now
            rate = done * len(atoms) / (now - start)
            print(
                f"{settings['id']} {phase} {done * timestep_fs / 1000:.2f} of {planned_ps:g} ps, "
                f"{rows[-1]['density_kg_m3'] if rows else float('nan'):.0f} kg/m3, {rate:.0f} atom-steps/s"
                + (f", ended: {ended.end}, {ended.detail}" if ended else ""),
                file=sys.stderr,
                flush=True,
            )
    recorder.close()
    survived = done - (stride if ended else 0)
    return max(survived, 0) * timestep_fs / 1000, ended


def run_md(settings: dict[str, Any], state: Path, model: Path, out: Path, threads: int) -> None:
    """Run NPT and NVT and write the run folder."""
    out.mkdir(parents=True, exist_ok=True)
    topology = Topology.load(state / "topology.json")
    atoms = ase.io.read(state / "start.extxyz")
    assert isinstance(atoms, Atoms)  # one frame
    atoms.calc = il_models.load_calculator(model, state, threads, hydrostatic=True)
    atoms.get_potential_energy()  # the first call compiles and allocates: it is not timed
    for name in ("topology.json", "topology.pdb"):
        shutil.copyfile(state / name, out / name)

    rows: list[dict] = []
    survived = {"npt": 0.0, "nvt": 0.0}
    ended, start = None, time.perf_counter()
    for phase in ("npt", "nvt"):
        if ended or settings[f"{phase}_ps"] <= 0:
            continue
        if phase == "nvt" and rows:
            volumes = np.array([row["volume_A3"] for row in rows])
            rescale_ions(atoms, topology, volumes[int(len(volumes) * (1 - NPT_USED)) :].mean())
        survived[phase], ended = run_phase(phase, atoms, topology, settings, out, rows)
    wall = time.perf_counter() - start
    pl.DataFrame(rows, schema=il_md.THERMO).write_parquet(out / "thermo.parquet")
    steps = sum(survived.values()) * 1000 / settings["timestep_fs"]
    record = {
        **settings,
        "planned_ps": settings["npt_ps"] + settings["nvt_ps"],
        "survived_ps": round(sum(survived.values()), 6),
        "npt_planned_ps": settings["npt_ps"],
        "npt_survived_ps": round(survived["npt"], 6),
        "nvt_planned_ps": settings["nvt_ps"],
        "nvt_survived_ps": round(survived["nvt"], 6),
        "end": ended.end if ended else "completed",
        "detail": ended.detail if ended else None,
        "n_atoms": len(atoms),
        "atom_steps_per_s": round(steps * len(atoms) / wall, 1),
        "wall_s": round(wall, 1),
        "device": il_models.device_name(atoms.calc),
    }
    (out / "run.json").write_text(json.dumps(record, indent=2) + "\n")


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--id", required=True, help="the run's key")
    parser.add_argument("--settings", type=Path, required=True, help="the run's settings, JSON of PLAN_STUDY")
    parser.add_argument("--state", type=Path, required=True, help="folder of the equilibrated liquid")
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--out", type=Path, required=True, help="run folder to write")
    args = parser.parse_args(argv)
    settings = json.loads(args.settings.read_text())
    return il_task.run("RUN_MD", lambda: run_md(settings, args.state, args.model, args.out, args.threads), args.id)


if __name__ == "__main__":
    sys.exit(main())
