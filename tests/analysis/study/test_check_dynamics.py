"""What is wrong with time steps, lengths and saved frames."""

from planned_studies import Refusal, Refused, Spoil, each_of, md, sampling, study

REFUSALS: list[Refusal] = [
    ("equilibration_without_frames", lambda s: (s.update(equilibration={"production_ps": 4}), sampling(eq={"frames": 7})(s)), [
        "equilibration.production_ps: 4 ps saves 8 frames at save_every_ps 0.5: at least 10"]),
    ("equilibration_frames_between_steps", study(equilibration={"timestep_fs": 4, "save_every_ps": 0.501}), [
        "equilibration.save_every_ps: 0.501 ps is not a multiple of equilibration.timestep_fs 4"]),
    ("step_in_picoseconds", md(timestep_fs=0.0005), ["md.timestep_fs: 0.0005 is below 0.05 fs: is it 0.0005 ps? give fs, 0.5"]),
    ("frames_between_steps", md(save_every_fs=0.7), ["md.save_every_fs: 0.7 is not a multiple of timestep_fs 0.5"]),
    ("too_many_frames", md(npt_ps=100000, save_every_fs=1), [
        "md.save_every_fs: 1 saves 1e+08 frames of each run: at most 1e+06; save less often"]),
    ("models_that_are_none", md(models=["maze", "clp", "clp"]), [
        "md.models[0]: 'maze' is no model of the study; did you mean mace? known: mace, dpmd, clp", "md.models: 'clp' is given twice"]),
    ("nothing_is_saved", md(nvt_ps=0.01), ["md.nvt_ps: 0.01 ps is shorter than save_every_fs 20: no frame is saved"]),
    ("picoseconds_of_a_thermostat", md(thermostat_fs=1), ["md.thermostat_fs: 1 is below 10 fs: is it 1 ps? give fs, 1000"]),
    ("no_model_runs", md(models=[]), ["md.models: empty: give at least 1"]),
    ("hydrogens_too_heavy_for_a_methyl", md(hydrogen_mass_u=4.5), [
        "md.hydrogen_mass_u: 4.5 would leave 1.53 u to an atom of C that bears hydrogens, in pyr14: give 3.75 or less"]),
    ("no_frame", md(npt_ps=0.01), ["md.npt_ps: 0.01 ps is shorter than save_every_fs 20: no frame is saved"]),
]  # fmt: skip


@each_of(REFUSALS)
def test_refusal(refused: Refused, spoil: Spoil, lines: list[str]) -> None:
    refused(spoil, lines)
