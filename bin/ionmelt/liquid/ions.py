"""Ions and molecules from SMILES: those of assets, their atoms, bonds, force-field types and a start geometry."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom

from ionmelt.errors import UserError
from ionmelt.files import read_yaml
from ionmelt.topology import Ion

CONFORMER_SEED = 7  # the geometry of an ion is part of the recipe, not of a study's randomness
OPEN_SHELLS = {*range(21, 31), *range(39, 49), *range(57, 81), *range(89, 113)}  # atomic numbers of the d and f blocks
# Of each: its atomic numbers, the electrons below the shell that it fills, and how many that holds.
SHELLS = (
    (range(21, 31), 18, 10), (range(39, 49), 36, 10), (range(72, 81), 68, 10), (range(57, 72), 54, 14), (range(89, 104), 86, 14),
)  # fmt: skip
S_PAIRS = ("Ga", "In", "Ge", "Sn", "Pb", "As", "Sb", "Bi", "Se", "Te")
IN_LINE = ("H", "F", "Cl", "Br", "I")  # between two others
OCTAHEDRON = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=float)


class LibraryIon(TypedDict):
    """An ion of assets/ions, or a neutral one of assets/molecules.

    `aliases` are other names of the same, `symbol` how it is written without its charge where capital letters are not it. `types`: of its
    heavy atoms in the order of its SMILES, and of hydrogens by their neighbour's type; None where the force field of assets/forcefields
    has none.
    """

    full_name: str
    symbol: NotRequired[str]
    aliases: list[str]
    smiles: str
    charge: int
    types: list[str] | None
    hydrogen_types: dict[str, str] | None
    charges_e: NotRequired[list[float]]  # of all its atoms, by NAGL; where it has no types


def library(assets: str | Path) -> dict[str, LibraryIon]:
    """Return the ions of assets/ions and the molecules of assets/molecules, by name."""
    paths = [path for folder in ("ions", "molecules") for path in sorted(Path(assets).glob(f"{folder}/*.yaml"))]
    needed = ("full_name", "smiles", "charge", "types")
    left_out: dict[str, Any] = {"aliases": [], "hydrogen_types": None}
    return {path.stem: cast(LibraryIon, left_out | read_yaml(path, *needed)) for path in paths}


def parse(smiles: str) -> Chem.Mol:
    """Return the molecule of a SMILES: its heavy atoms in SMILES order, then the hydrogens."""
    with rdBase.BlockLogs():  # its warnings say less than the error below
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise UserError(f"ions: smiles {smiles!r} is not a valid SMILES")
    if len(Chem.GetMolFrags(molecule)) > 1:
        raise UserError(f"ions: smiles {smiles!r} has several parts; give each ion on its own")
    if Chem.MolToSmiles(molecule) == "[H+]":
        raise UserError(
            f"ions: smiles {smiles!r} is a proton, which no liquid has by itself: give the ion that holds it, such as [OH3+]"
        )
    if any(atom.GetAtomicNum() == 0 for atom in molecule.GetAtoms()):
        raise UserError(f"ions: smiles {smiles!r} has an atom that is no element (*): give the whole ion or molecule")
    if heavy := next((atom for atom in molecule.GetAtoms() if atom.GetIsotope()), None):
        raise UserError(
            f"ions: smiles {smiles!r} has the isotope [{heavy.GetIsotope()}{heavy.GetSymbol()}], and masses here are those of the elements: "
            "leave the number out"
        )
    if atom := unpaired(molecule):
        raise UserError(
            f"ions: smiles {smiles!r} has an unpaired electron at {atom}, and only closed shells are covered: is a charge, or a bond, missing?"
        )
    return Chem.AddHs(molecule)


def unpaired(molecule: Chem.Mol) -> str | None:
    """Return the element of an atom with an unpaired electron; RDKit's count says nothing of the d and f shells, nor of s pairs."""
    atoms = (
        atom
        for atom in molecule.GetAtoms()
        if atom.GetNumRadicalElectrons() and atom.GetAtomicNum() not in OPEN_SHELLS and not keeps_s_pair(atom)
    )
    return next((str(atom.GetSymbol()) for atom in atoms), None)


def keeps_s_pair(atom: Chem.Atom) -> bool:
    """Tell whether an atom has its two outer s electrons left, which are a pair, as in Pb2+ and SnCl2."""
    gave_others = atom.GetFormalCharge() > 0 or atom.GetDegree() > 0
    return gave_others and atom.GetNumRadicalElectrons() == 2 and atom.GetSymbol() in S_PAIRS


def open_shell(smiles: str) -> str | None:
    """Return the element of an atom whose d or f shell is partly filled, so that electrons may be unpaired; None without one.

    What is bonded to it is counted to have taken an electron for each bond, as Cl in FeCl4-, whose iron has five d electrons left.
    """
    for atom in parse(smiles).GetAtoms():
        bonds = sum(
            bond.GetBondTypeAsDouble() for bond in atom.GetBonds() if bond.GetBondType() != Chem.BondType.DATIVE
        )
        left = atom.GetAtomicNum() - atom.GetFormalCharge() - int(bonds)
        if any(atom.GetAtomicNum() in block and 0 < left - core < full for block, core, full in SHELLS):
            return str(atom.GetSymbol())
    return None


def charge_of(smiles: str) -> int:
    """Return the net charge of the ion or molecule of a SMILES, in e."""
    return int(Chem.GetFormalCharge(parse(smiles)))


@cache
def canonical(smiles: str) -> str:
    """Return the InChI of an ion or molecule: equal for every way to write it, wherever its charge is drawn."""
    molecule = parse(smiles)
    with rdBase.BlockLogs():
        return str(Chem.MolToInchi(molecule)) or str(Chem.MolToSmiles(Chem.RemoveHs(molecule)))


def alike(smiles: str, other: str) -> bool:
    """Tell whether two SMILES are of the same ion or molecule, whatever they say of its stereochemistry."""
    first, second = (re.split("/[btms]", canonical(one))[0] for one in (smiles, other))
    return first == second


def resolve(ion: Mapping[str, Any], ions: Mapping[str, LibraryIon]) -> Ion:
    """Return an ion of topology.json from one of a study: {name, smiles, count, types, hydrogen_types}.

    An ion without types whose SMILES equals that of an ion in the library `ions` takes that ion's SMILES,
    hence its atom order, and types; its name stays. `types` in the result is of every atom, or None.
    """
    if not ion.get("types"):
        same = [typed for typed in ions.values() if canonical(typed["smiles"]) == canonical(ion["smiles"])]
        if same:
            typed = same[0]
            ion = {**ion, **{key: typed[key] for key in ("smiles", "types", "hydrogen_types")}}
    molecule = parse(ion["smiles"])
    elements = [atom.GetSymbol() for atom in molecule.GetAtoms()]
    return {
        "name": ion["name"],
        "smiles": ion["smiles"],
        "charge": Chem.GetFormalCharge(molecule),
        "count": ion["count"],
        "elements": elements,
        "bonds": sorted(sorted([bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()]) for bond in molecule.GetBonds()),
        "masses_u": [float(atomic_masses[atomic_numbers[element]]) for element in elements],
        "types": _types(molecule, ion["types"], ion["hydrogen_types"] or {}) if ion.get("types") else None,
    }


def _types(molecule: Chem.Mol, heavy: list[str], hydrogen: dict[str, str]) -> list[str]:
    """Return the type of every atom: listed for heavy atoms, by the heavy neighbour's type for hydrogens."""
    first_hydrogen = molecule.GetNumHeavyAtoms()
    if len(heavy) != first_hydrogen:
        smiles = Chem.MolToSmiles(Chem.RemoveHs(molecule))
        raise UserError(f"ion {smiles}: {len(heavy)} types given, it has {first_hydrogen} heavy atoms")
    types = list(heavy)
    for atom in list(molecule.GetAtoms())[first_hydrogen:]:
        parent = heavy[atom.GetNeighbors()[0].GetIdx()]
        if parent not in hydrogen:
            raise UserError(f"hydrogen_types: no hydrogen type for the heavy atom type {parent}")
        types.append(hydrogen[parent])
    return types


def geometry(smiles: str) -> np.ndarray:
    """Return start positions (atoms, 3) in angstrom, centred: ETKDG with a fixed seed.

    The six neighbours in an ion like PF6- lie on an octahedron, the first opposite the second and so on
    (what `cis_only` in the force field counts on): distance geometry knows no octahedron, nor that I3- and HF2- are straight.
    """
    molecule = parse(smiles)
    parameters: Any = rdDistGeom.ETKDGv3()
    parameters.randomSeed = CONFORMER_SEED
    with rdBase.BlockLogs():  # it speaks of charges that its types of atoms do not have
        failed = rdDistGeom.EmbedMolecule(molecule, parameters) != 0
        if failed:
            parameters.useRandomCoords = True
            failed = rdDistGeom.EmbedMolecule(molecule, parameters) != 0
    if failed:
        raise UserError(f"ions: rdkit finds no three-dimensional structure for smiles {smiles!r}")
    positions = np.array(molecule.GetConformer().GetPositions())
    for atom in molecule.GetAtoms():
        ligands = sorted(neighbour.GetIdx() for neighbour in atom.GetNeighbors())
        if len(ligands) == 6 and len(positions) == 7:
            centre = positions[atom.GetIdx()]
            lengths = np.linalg.norm(positions[ligands] - centre, axis=1)
            positions[ligands] = centre + OCTAHEDRON * lengths.mean()
        elif len(ligands) == 2 and len(positions) == 3 and atom.GetSymbol() in IN_LINE:
            positions[ligands[1]] = 2 * positions[atom.GetIdx()] - positions[ligands[0]]
    return positions - positions.mean(axis=0)
