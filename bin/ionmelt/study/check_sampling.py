"""What a study says of the frames that are sampled, judged against its liquids, its models and their equilibration."""

from math import ceil

from ionmelt.frames.settings import NEED_FORCE_FIELD, NeqRecipes, Oscillation, Sampling
from ionmelt.study.check_models import cutoff_of
from ionmelt.study.reading import Draft, Problems

SWING_STRIDE_PS, SWING_STOPS_LEAST = 0.01, 10  # how often sample_frames.py moves a swinging box; a period has so many


def check_sampling(draft: Draft, sampling: Sampling, problems: Problems) -> None:
    """Judge each recipe, and whether the trajectories of the equilibration have the frames that are asked for."""
    check_ends(sampling.neq, problems)
    if sampling.neq.oscillation:
        check_swing(draft, sampling.neq.oscillation, problems)
    check_vacuum(draft, sampling.neq, problems)
    if sampling.test_scan and not any(abs(scale - 1) < 1e-9 for scale in sampling.test_scan.scales):
        problems.add(("sampling", "test_scan", "scales"), "1.0 is missing: energies are relative to it")
    check_force_fields(draft, sampling.neq, problems)
    if sampling.neq.oscillation:
        check_stops(draft, sampling.neq.oscillation, problems)
    check_pool(draft, sampling, problems)


def check_ends(neq: NeqRecipes, problems: Problems) -> None:
    """Refuse a range whose lower end is not below the upper one."""
    scan, packing = neq.volume_scan, neq.packing
    if scan and scan.scale_min >= scan.scale_max:
        text = f"{scan.scale_min:g} is not below scale_max {scan.scale_max:g}"
        problems.add(("sampling", "neq", "volume_scan", "scale_min"), text)
    if packing and packing.density_min_fraction >= packing.density_max_fraction:
        low, high = packing.density_min_fraction, packing.density_max_fraction
        text = f"{low:g} is not below density_max_fraction {high:g}"
        problems.add(("sampling", "neq", "packing", "density_min_fraction"), text)


def check_swing(draft: Draft, swing: Oscillation, problems: Problems) -> None:
    """Refuse a swing that is longer than its run, or that would cool a liquid below 0 K."""
    loc = ("sampling", "neq", "oscillation")
    if swing.period_ps > swing.length_ps:
        text = f"{swing.period_ps:g} ps is longer than the run, length_ps {swing.length_ps:g}"
        problems.add((*loc, "period_ps"), text)
    for index, liquid in draft.liquids.items():
        coldest = min(liquid.temperatures_K or (1e9,))
        if swing.temperature_amplitude_K >= coldest:
            text = f"{swing.temperature_amplitude_K:g} K would cool liquids[{index}] below 0 K"
            problems.add((*loc, "temperature_amplitude_K"), text)


def check_stops(draft: Draft, recipe: Oscillation, problems: Problems) -> None:
    """Judge whether the runs whose box swings have a stop for each frame that is asked of them, and for each swing."""
    states = [len(liquid.temperatures_K) for liquid in draft.liquids.values() if liquid.temperatures_K]
    if not states:
        return
    loc = ("sampling", "neq", "oscillation")
    each, stops = ceil(recipe.frames / min(states)), int(recipe.length_ps / SWING_STRIDE_PS + 1e-9)
    if each > stops:
        text = f"{recipe.frames} frames, but length_ps {recipe.length_ps:g} has room for {stops * min(states)}, "
        problems.add((*loc, "frames"), text + f"{SWING_STRIDE_PS:g} ps apart; give fewer, or a longer run")
    if recipe.period_ps < SWING_STOPS_LEAST * SWING_STRIDE_PS:
        text = f"{recipe.period_ps:g} ps: the box moves every {SWING_STRIDE_PS:g} ps, which is too seldom for it"
        problems.add((*loc, "period_ps"), text + f"; give {SWING_STOPS_LEAST * SWING_STRIDE_PS:g} or more")


def check_vacuum(draft: Draft, neq: NeqRecipes, problems: Problems) -> None:
    """Refuse boxes of single ions in which a model would see the images of an ion."""
    for index, model in draft.models.items() if neq.ions else ():
        assert neq.ions is not None
        vacuum, cutoff = neq.ions.vacuum_A, cutoff_of(model)
        if cutoff and cutoff[1] > vacuum:
            text = f"{vacuum:g} A is less than {cutoff[0]} of models[{index}], {cutoff[1]:g} A: it would see an ion's images"
            problems.add(("sampling", "neq", "ions", "vacuum_A"), text)


def check_force_fields(draft: Draft, neq: NeqRecipes, problems: Problems) -> None:
    """Refuse the recipes that run classical dynamics for liquids without a classical force field."""
    recipes = [name for name, recipe in neq if recipe and name in NEED_FORCE_FIELD]
    for name in recipes:
        for index, liquid in draft.liquids.items():
            if liquid.force_field == "xtb":
                text = f"needs a classical force field, and that of liquids[{index}] is xtb: leave the recipe out"
                problems.add(("sampling", "neq", name), text)


def check_pool(draft: Draft, sampling: Sampling, problems: Problems) -> None:
    """Refuse more equilibrated frames than the equilibration has."""
    length, every = draft.study.equilibration.production_ps, draft.study.equilibration.save_every_ps
    if not length or not every or not sampling.eq:
        return
    usable = int(0.9 * int(length / every + 1e-9))  # the last tenth of a trajectory is kept for test_scan
    if sampling.eq.frames * sampling.pool > usable:
        pool = f" and a pool of {sampling.pool}" if sampling.pool > 1 else ""
        problems.add(
            ("sampling", "eq", "frames"),
            f"{sampling.eq.frames} frames{pool}, but the equilibration has {usable} to give: production_ps "
            f"{length:g}, save_every_ps {every:g}, less a tenth for test_scan",
        )
