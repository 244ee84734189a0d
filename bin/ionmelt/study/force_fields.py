"""The force fields of the liquids as a level of theory, for labels that are computed by them."""

from pathlib import Path

from ionmelt.labels.engines.settings import LabelledBy
from ionmelt.liquid.cutoff import chosen_cutoff_A
from ionmelt.liquid.forcefield import force_field_digest
from ionmelt.liquid.ions import library, resolve
from ionmelt.liquid.settings import Liquid
from ionmelt.study.boxes import Box
from ionmelt.study.keys import by_force_field
from ionmelt.study.places import Places
from ionmelt.study.schema import Study


def label_force_fields(study: Study, boxes: dict[int, Box], places: Places) -> dict[str, LabelledBy]:
    """Return the force field that labels the frames of each liquid, by its id; none where no label is computed by them."""
    if not by_force_field(study):
        return {}
    return {
        study.liquids[index].id: LabelledBy(
            name=Path(study.liquids[index].force_field).name,
            sha256=sha256_of(study.liquids[index], box, places),
            cutoff_A=chosen_cutoff_A(study.equilibration.cutoff_A, box.edge_A),
        )
        for index, box in boxes.items()
        if box.edge_A is not None
    }


def sha256_of(liquid: Liquid, box: Box, places: Places) -> str:
    """Return what tells the force field of a liquid from others (`force_field_digest`)."""
    shipped = places.assets / "forcefields" / f"{liquid.force_field}.yaml"
    path = shipped if shipped.exists() else places.path(liquid.force_field)
    if path is None:
        assert liquid.force_field_sha256 is not None, "refused by check_labels"
        return liquid.force_field_sha256
    ions = library(places.assets)
    return force_field_digest(path, [resolve(ion.model_dump(), ions) for ion in box.ions])
