"""Choose the frames of one liquid to be labelled: equilibrated ones, and ones pushed away from equilibrium.

Recipes of kind eq: equilibrium. Recipes of kind neq: volume_scan, oscillation, packing, rattle, clusters, ions, and test_scan
(for testing only). Frames with unphysical contacts or bonds and duplicates are refused, counted and replaced
where the recipe can make others. With a `pool` above 1 each recipe makes so many times the frames, and those are taken whose
surroundings differ most from each other and from those of the recipes before (ionmelt/frames/selection.py).

Writes the frames in chunks, OUT/LIQUID-000.extxyz and so on (and their ids, OUT/LIQUID-000.txt), with similar frames
next to each other, and a table with a row for each recipe: what was asked for, kept and refused. The same input gives the same bytes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ase import Atoms

from ionmelt import files, task
from ionmelt.arguments import command_line
from ionmelt.errors import UserError
from ionmelt.frame import make_frame
from ionmelt.frame_file import write_frames
from ionmelt.frames import selection
from ionmelt.frames.candidate import TRIES, Candidate, Slot
from ionmelt.frames.counts import RecipeCount, table_of
from ionmelt.frames.recipes import RECIPES, Recipe
from ionmelt.frames.recipes.trajectory import evenly_spaced
from ionmelt.frames.refusal import refusal
from ionmelt.frames.settings import EqFrames, SampleSettings, TestScan
from ionmelt.frames.state import RefiningRun, State
from ionmelt.topology import Topology


def collect(count: RecipeCount, slots: Iterable[Slot], topology: Topology, seen: set[str]) -> list[Atoms]:
    """Fill each slot with its first candidate that is neither refused nor in `seen`; count the others."""
    frames = []
    for slot in slots:
        for candidate in islice(slot, TRIES):
            frame = frame_of(candidate, count, topology)
            reason = "duplicate" if frame.info["frame_id"] in seen else refusal(frame, candidate.topology or topology)
            if reason is None:
                seen.add(frame.info["frame_id"])
                frames.append(frame)
                break
            count.refuse(reason)
    return frames


def frame_of(candidate: Candidate, count: RecipeCount, topology: Topology) -> Atoms:
    """Return the frame of a candidate of a recipe; `topology` is of the whole liquid."""
    top = candidate.topology or topology
    return make_frame(
        top.numbers, candidate.positions, candidate.edges,
        top.molecule, top.ion, liquid=count.liquid, kind=count.kind, recipe=count.recipe, group=candidate.group,
        **candidate.info,
    )  # fmt: skip


@dataclass
class Offer:
    """What a recipe made, `wanted` frames of which are asked for (of each state, where the recipe says so)."""

    recipe: Recipe
    wanted: int
    frames: list[Atoms]
    count: RecipeCount


def take(offers: Sequence[Offer], states: Sequence[State]) -> list[list[Atoms]]:
    """Return the frames of each offer that differ most, in the order of the offers; those held out are all taken."""
    pool = [frame for offer in offers if not offer.recipe.held_out for frame in offer.frames]
    x = selection.descriptors(pool)
    first = 0
    taken: list[int] = []
    kept = []
    for offer in offers:
        if offer.recipe.held_out:
            kept.append(offer.frames)
            continue
        offered = range(first, first + len(offer.frames))
        first += len(offer.frames)
        picked: list[int] = []
        made = {frame.info["group"] for frame in offer.frames}
        # Each state gives its share of the equilibrium frames.
        for share in [state.groups for state in states] if offer.recipe.each_state else [made]:
            groups = [f.info["group"] if i in offered and f.info["group"] in share else "" for i, f in enumerate(pool)]
            picked += selection.farthest_points(x, groups, offer.wanted, taken + picked)
        taken += picked
        kept.append([pool[i] for i in sorted(picked)])
    return kept


def wanted_recipes(settings: SampleSettings, states: Sequence[State]) -> list[Recipe]:
    """Return the recipes that a study asks for.

    Raises `UserError` for states of another liquid, and for a recipe that needs a force field where there is none.
    """
    liquid = settings.liquid
    wanted = [recipe for recipe in RECIPES if settings.sampling.recipe(recipe.name) is not None]
    errors = [
        f"{s.key}: is a state of {s.topology.liquid}, not {liquid}" for s in states if s.topology.liquid != liquid
    ]
    if any(state.system_xml is None for state in states):
        errors += [
            f"sampling.neq.{recipe.name}: needs a classical force field, and {liquid} has force_field xtb; "
            "leave the recipe out, or give the liquid one"
            for recipe in wanted
            if recipe.needs_force_field
        ]
    if errors:
        raise UserError(*errors)
    return wanted


def follow(recipe: Recipe, settings: SampleSettings, states: Sequence[State], seen: set[str]) -> Offer:
    """Make the frames of a recipe, `pool` times as many as are asked for; those `seen` are refused."""
    section = settings.sampling.recipe(recipe.name)
    assert section is not None
    if isinstance(section, TestScan):
        requested = len(section.scales)
    else:
        requested = section.frames
        section = section.model_copy(update={"frames": settings.sampling.pool * requested})
    count = RecipeCount(settings.liquid, recipe.name, recipe.kind, requested)
    slots = recipe.slots(states, section, settings.seed)
    frames = collect(count, slots, states[0].topology, seen)
    if isinstance(section, EqFrames):
        count.requested *= len(states)
        count.spacing_frames = min(state.usable / len(evenly_spaced(state, section.frames)) for state in states)
        count.inefficiency_frames = max(state.inefficiency for state in states)
        count.equilibrium_of = states[0].model
        converged = [state.equilibrated for state in states]
        count.equilibrated = None if None in converged else all(converged)
    return Offer(recipe, requested, frames, count)


def sample(settings: SampleSettings, states: Sequence[State]) -> tuple[list[Atoms], list[RecipeCount]]:
    """Return the frames of a liquid, similar ones next to each other, and the rows of the table of recipes."""
    states = sorted(states, key=lambda state: (state.temperature_K, state.replica))
    seen: set[str] = set()
    offers = [follow(recipe, settings, states, seen) for recipe in wanted_recipes(settings, states)]
    chosen = take(offers, states) if settings.sampling.pool > 1 else [offer.frames for offer in offers]
    frames: list[Atoms] = []
    for offer, kept in zip(offers, chosen, strict=True):
        order = {group: number for number, group in enumerate(dict.fromkeys(frame.info["group"] for frame in kept))}
        frames += sorted(kept, key=lambda frame: order[frame.info["group"]])
        offer.count.kept, offer.count.offered = len(kept), len(offer.frames)
    rows = [offer.count for offer in offers]
    if not frames:
        raise UserError(f"sampling: no frame of {settings.liquid} was kept: " + ", ".join(f"{row}" for row in rows))
    return frames, rows


def write_chunk(folder: Path, name: str, frames: Sequence[Atoms]) -> None:
    """Write frames to label, and their ids: NAME.extxyz and NAME.txt."""
    write_frames(folder / f"{name}.extxyz", frames)
    (folder / f"{name}.txt").write_text("".join(f"{frame.info['frame_id']}\n" for frame in frames))


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = command_line(__doc__, "--id", "--settings", "--out")
    parser.add_argument("--states", required=True, nargs="+", type=Path, help="state folders of the liquid")
    parser.add_argument(
        "--runs",
        nargs="*",
        default=[],
        type=Path,
        help="run folders of a model at constant pressure, in the place of their trajectories",
    )
    parser.add_argument("--counts", required=True, type=Path, help="table of recipes (Parquet)")
    args = parser.parse_args(argv)

    def work() -> None:
        settings = SampleSettings.read(args.settings)
        runs = [RefiningRun.read(folder) for folder in args.runs]
        frames, rows = sample(settings, [State(folder, settings.seed, runs) for folder in args.states])
        args.out.mkdir(parents=True, exist_ok=True)
        for i, start in enumerate(range(0, len(frames), settings.chunk)):
            write_chunk(args.out, f"{settings.liquid}-{i:03d}", frames[start : start + settings.chunk])
        files.write_table(table_of(rows), args.counts)

    return task.run("SAMPLE_FRAMES", work, task_id=args.id, reads=[args.settings, *args.states, *args.runs])
