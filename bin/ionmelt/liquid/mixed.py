"""Which force field a molecule has in a liquid that not all of CL&P covers: CL&P's own where it is typed, else OpenFF Sage, else what UFF and GFN2-xTB add to it."""

from collections.abc import Mapping, Sequence

from ionmelt.errors import UserError
from ionmelt.liquid import sage, universal
from ionmelt.liquid.explicit import ExplicitForceField, Terms, typed_terms
from ionmelt.liquid.forcefield import ForceField
from ionmelt.liquid.ions import LibraryIon
from ionmelt.liquid.shape import check_shape
from ionmelt.topology import Ion

NAME = "openff"
TYPED = "CL&P and OPLS-AA (assets/forcefields/clandp.yaml)"


def charges_of(ion: Ion, library: Mapping[str, LibraryIon]) -> list[float] | None:
    """Return the NAGL charges of a molecule of the library, in the order of its atoms; None of others."""
    same = (entry.get("charges_e") for entry in library.values() if entry["smiles"] == ion["smiles"])
    return next((charges for charges in same if charges), None)


def source_of(ion: Ion, library: Mapping[str, LibraryIon]) -> str:
    """Return where the terms of a molecule are from; raises `UserError` where no force field has it."""
    if ion["types"]:
        return TYPED
    missing = sage.lacks(ion["smiles"])
    if missing is None and not universal.crowded(ion):
        return sage.source_of(charges_of(ion, library))
    if universal.covers(ion["smiles"]):
        return universal.SOURCE
    raise UserError(f"no classical force field has {ion['name']} ({ion['smiles']}): OpenFF Sage lacks {missing}")


def terms_of(ion: Ion, forcefield: ForceField, library: Mapping[str, LibraryIon]) -> Terms:
    """Return the terms of a molecule; raises `UserError` where no force field has it."""
    source = source_of(ion, library)
    if ion["types"]:
        return typed_terms(ion, forcefield, source)
    charges_e = charges_of(ion, library)
    if source == universal.SOURCE:
        terms = universal.universal_terms(ion, forcefield.types["B"], charges_e)
    else:
        terms = sage.sage_terms(ion, charges_e)
    if charges_e is None:
        check_shape(ion, terms)
    return terms


def mixed_force_field(
    ions: Sequence[Ion], forcefield: ForceField, library: Mapping[str, LibraryIon], charge_scale: float
) -> ExplicitForceField:
    """Return the force field of a liquid, the charges of its ions times a factor."""
    molecules = [
        terms.scaled(charge_scale) if ion["charge"] else terms
        for ion in ions
        for terms in [terms_of(ion, forcefield, library)]
    ]
    return ExplicitForceField(name=NAME, charge_scale=charge_scale, molecules=molecules)
