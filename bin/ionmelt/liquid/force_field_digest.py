"""What tells one force field of some ions from another, as a digest."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from ionmelt.errors import reading
from ionmelt.files import digest, read_json, sha256
from ionmelt.liquid.forcefield import ForceField, load_forcefield
from ionmelt.liquid.ion_terms import ion_terms
from ionmelt.topology import Ion


def force_field_digest(path: Path, ions: Sequence[Ion]) -> str:
    """Return what tells the force field of some ions from others: the sha256 of an OpenMM XML, or of the ions' parameters.

    Names and counts of the ions do not matter to a force field of assets/forcefields, and what it has for others does not.
    Raises `UserError` for a force field that lacks something.
    """
    if path.suffix == ".json":
        written = read_json(path)
        with reading(path, "a force field"):
            return sources_digest({m["smiles"]: m["source"] for m in written["molecules"]}, written["charge_scale"])
    if path.suffix != ".yaml":
        return sha256(path)
    return typed_digest(load_forcefield(path), ions)


def sources_digest(sources: Mapping[str, str], charge_scale: float) -> str:
    """Return the digest of a force field by the sources of its molecules' terms, by their SMILES.

    Charges by xTB differ in their last bits from machine to machine, so that no number of a term enters.
    """
    return digest({"sources": dict(sources), "charge_scale": charge_scale})


def typed_digest(forcefield: ForceField, ions: Sequence[Ion]) -> str:
    """Return the digest of the parameters that a force field of assets/forcefields has for some ions."""
    parameters = [
        [ion["elements"], [asdict(forcefield.types[kind]) for kind in ion["types"] or ()], asdict(terms)]
        for ion in ions
        for terms in [ion_terms(ion, forcefield)]
    ]
    scale = [forcefield.coulomb_14, forcefield.lennard_jones_14]
    scaled = {"charge_scale": forcefield.charge_scale} if forcefield.charge_scale != 1 else {}
    return digest({"scale_14": scale, "ions": sorted(parameters, key=json.dumps)} | scaled)
