"""What is wrong with the recipes of frames."""

from planned_studies import Refusal, Refused, Spoil, each_of, liquid, model, sampling

REFUSALS: list[Refusal] = [
    ("more_frames_than_saved", sampling(eq={"frames": 500}), [
        "sampling.eq.frames: 500 frames, but the equilibration has 360 to give: production_ps 200, save_every_ps 0.5, less a "
        "tenth for test_scan"]),
    ("a_larger_pool_than_saved", sampling(eq={"frames": 100}, pool=4), [
        "sampling.eq.frames: 100 frames and a pool of 4, but the equilibration has 360 to give: production_ps 200, "
        "save_every_ps 0.5, less a tenth for test_scan"]),
    ("recipe_without_a_force_field", lambda s: (
        liquid(force_field="xtb")(s), s["models"].pop(), sampling(neq={"packing": {"frames": 9}})(s)), [
        "sampling.neq.packing: needs a classical force field, and that of liquids[0] is xtb: leave the recipe out"]),
    ("scan_upside_down", sampling(neq={"volume_scan": {"frames": 5, "scale_min": 1.1, "scale_max": 1.0}}), [
        "sampling.neq.volume_scan.scale_min: 1.1 is not below scale_max 1"]),
    ("swing_below_zero", sampling(neq={"oscillation": {"frames": 5, "temperature_amplitude_K": 450}}), [
        "sampling.neq.oscillation.temperature_amplitude_K: 450 K would cool liquids[0] below 0 K"]),
    ("an_ion_that_sees_its_images", lambda s: (
        sampling(neq={"ions": {"frames": 4, "vacuum_A": 8}})(s), model(1, rcut_A=9)(s)), [
        "sampling.neq.ions.vacuum_A: 8 A is less than rcut_A of models[1], 9 A: it would see an ion's images"]),
    ("swing_longer_than_its_run", sampling(neq={"oscillation": {"frames": 5, "length_ps": 2, "period_ps": 5}}), [
        "sampling.neq.oscillation.period_ps: 5 ps is longer than the run, length_ps 2"]),
    ("scan_without_one", sampling(test_scan={"scales": [0.9, 1.1, 1.2]}), [
        "sampling.test_scan.scales: 1.0 is missing: energies are relative to it"]),
    ("more_swinging_frames_than_stops", sampling(neq={"oscillation": {"frames": 30, "length_ps": 0.2, "period_ps": 0.02}}), [
        "sampling.neq.oscillation.frames: 30 frames, but length_ps 0.2 has room for 20, 0.01 ps apart; give fewer, or a "
        "longer run",
        "sampling.neq.oscillation.period_ps: 0.02 ps: the box moves every 0.01 ps, which is too seldom for it; give 0.1 or more"]),
]  # fmt: skip


@each_of(REFUSALS)
def test_refusal(refused: Refused, spoil: Spoil, lines: list[str]) -> None:
    refused(spoil, lines)
