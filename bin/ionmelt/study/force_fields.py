"""The force fields of the liquids as a level of theory, for labels that are computed by them."""

from dataclasses import replace
from pathlib import Path

from ionmelt.labels.engines.settings import LabelledBy
from ionmelt.liquid import mixed
from ionmelt.liquid.cutoff import chosen_cutoff_A
from ionmelt.liquid.force_field_digest import force_field_digest, sources_digest, typed_digest
from ionmelt.liquid.forcefield import load_forcefield
from ionmelt.liquid.ions import library, resolve
from ionmelt.liquid.settings import Liquid
from ionmelt.study.boxes import Box
from ionmelt.study.keys import by_force_field
from ionmelt.study.paths import Paths
from ionmelt.study.schema import Study


def label_force_fields(study: Study, boxes: dict[int, Box], paths: Paths) -> dict[str, LabelledBy]:
    """Return the force field that labels the frames of each liquid, by its id; none where no label is computed by them."""
    if not by_force_field(study):
        return {}
    return {
        study.liquids[index].id: LabelledBy(
            name=Path(study.liquids[index].force_field).name,
            sha256=sha256_of(study.liquids[index], box, paths),
            cutoff_A=chosen_cutoff_A(study.equilibration.cutoff_A, box.edge_A),
        )
        for index, box in boxes.items()
        if box.edge_A is not None
    }


def sha256_of(liquid: Liquid, box: Box, paths: Paths) -> str:
    """Return what tells the force field of a liquid from others (`force_field_digest`)."""
    ion_library = library(paths.assets)
    ions = [resolve(ion.model_dump(), ion_library) for ion in box.ions]
    if liquid.force_field == mixed.NAME:
        return sources_digest({ion["smiles"]: mixed.source_of(ion, ion_library) for ion in ions}, liquid.charge_scale)
    shipped = paths.assets / "forcefields" / f"{liquid.force_field}.yaml"
    if shipped.exists():
        return typed_digest(replace(load_forcefield(shipped), charge_scale=liquid.charge_scale), ions)
    path = paths.path(liquid.force_field)
    if path is None:
        assert liquid.force_field_sha256 is not None, "refused by check_labels"
        return liquid.force_field_sha256
    return force_field_digest(path, ions)
