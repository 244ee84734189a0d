"""The liquid: frames of one run, which a reader turns and plays."""

from ionmelt.report.blocks import Block, Note, Nothing, Picture, Section
from ionmelt.report.results import Results
from ionmelt.report.still import still


def blocks(results: Results) -> list[Block]:
    """Return the picture of the liquid, where a run left a trajectory."""
    view = results.view
    if view is None:
        return [Nothing("No run left a trajectory to draw.")]
    lacking = f"; {view.left_out}" if view.left_out else ""
    words = (
        f"{view.title}: run {view.run_id}, {len(view.time_ps)} frames of its last phase. Ions are whole and drawn in the box by "
        f"their centres{lacking}. Drag to turn."
    )
    return [Note(words), Picture(view, still(view))]


SECTION = Section("liquid", "The liquid", "The liquid", blocks)
