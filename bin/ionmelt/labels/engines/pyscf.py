"""Labels from density functional theory by PySCF: GTH pseudopotentials, MOLOPT basis sets, multigrid, gamma point.

On a GPU the same calculation is done by GPU4PySCF. The orbitals of the frame before, made orthonormal in the new
overlap, are the first guess.

PySCF has no analytic stress for its multigrid. Here the stress is the central difference of the multigrid energy
under six strains, with the converged orbitals made orthonormal again in each strained box (Loewdin): the energy is
stationary there, so their relaxation counts only in second order, which the difference of both signs removes. That
takes twelve energies and no further SCF. GPU4PySCF has the analytic one.
"""

import importlib
from typing import Any

import numpy as np
import pyscf
from ase import Atoms
from ase.units import Bohr, Hartree
from pyscf.grad import rks as molecular_gradients
from pyscf.gto import mole
from pyscf.gto.basis import parse_cp2k, parse_cp2k_pp
from pyscf.pbc import dft, gto

from ionmelt import theory
from ionmelt.errors import UserError, is_resource
from ionmelt.frame import Label, no_label, virial_stress
from ionmelt.labels.engines.pyscf_data import entry
from ionmelt.labels.engines.pyscf_dispersion import DISPERSIONS, Dispersion
from ionmelt.labels.engines.pyscf_fourth_term import fourth_term
from ionmelt.labels.engines.settings import PyscfLabels

FUNCTIONALS = {"PBE": "PBE,PBE", "revPBE": "PBE_R,PBE", "BLYP": "B88,LYP", "r2SCAN": "R2SCAN,R2SCAN"}
PRECISION = 1e-8  # of integrals and of the cut-offs in real space (Ha)
# Density of a Gaussian pair goes to a grid of at least this cut-off for each unit of its exponent (CP2K's REL_CUTOFF).
REL_CUTOFF_RY = 60.0
# The norm of the orbital gradient is some ten times its largest element, which eps_scf bounds in CP2K.
GRADIENT_NORM = 10.0
CYCLES, STURDY_CYCLES = 50, 200
GRID_LEVEL = 4  # of the molecular code's grid around each atom
LEVEL_SHIFT = 0.3  # Ha
STRAIN = 1e-3  # half of the difference between the strained boxes
STRAINS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


class Engine:
    """Energy, forces and stress of periodic, neutral, closed-shell frames at the gamma point, and of ions without images.

    Parameters
    ----------
    settings : `basis` and `potential` are names as in CP2K's data, and a basis may be named without the -qN of its
        potential; `cutoff_Ry` is of the density, as CP2K's CUTOFF; `eps_scf` (Hartree): the SCF has converged where the
        norm of the orbital gradient is below ten times, and the last change of the energy below a tenth of it.
    threads : OpenMP threads of PySCF. Its memory is bounded by the environment's PYSCF_MAX_MEMORY (MB).

    Raises
    ------
    UserError : a functional that needs a GPU, or a GPU that was asked for and is not there.
    """

    def __init__(self, settings: PyscfLabels, threads: int) -> None:
        self.settings = settings
        self.gpu = use_gpu(settings.device)
        if settings.functional in theory.META_GGA and not self.gpu:
            raise UserError(
                f"labels.functional: PySCF has no forces of {settings.functional} without a GPU; use engine: cp2k"
            )
        pyscf.lib.num_threads(threads)
        self.version = f"PySCF {pyscf.__version__}"
        if self.gpu:
            self.version += f" with GPU4PySCF {self.gpu.__version__}"
        self._guess: np.ndarray | None = None
        self._guess_numbers = np.array([], dtype=int)

    def label(self, atoms: Atoms, cold: bool = False) -> Label:
        """Label one frame, with up to three attempts that differ in guess, level shift and number of cycles only.

        `cold` leaves the frame before out of it. `Label.scf_steps` counts the Fock matrices of all attempts.
        """
        if not atoms.pbc.any():
            return self.label_alone(atoms)
        dispersion = self.dispersion(atoms)
        cell = self.cell(atoms)
        warm = not cold and np.array_equal(atoms.numbers, self._guess_numbers)
        attempts = [(False, CYCLES, 0.0), (False, STURDY_CYCLES, LEVEL_SHIFT)]
        if warm:
            attempts.insert(0, (True, CYCLES, 0.0))
        steps, reason = 0, "scf_not_converged"
        try:
            for number, (chained, cycles, shift) in enumerate(attempts):
                field = self.mean_field(cell)
                field.max_cycle, field.level_shift = cycles, shift
                guess = None
                if chained and self._guess is not None:
                    guess = self.density(orthonormal(self._guess, overlap(cell)))
                field.kernel(dm0=guess)
                steps += field.cycles + 1 + bool(field.converged)  # that of the guess, and of the check at the end
                reason = "scf_not_converged" if np.isfinite(field.e_tot) else "non_finite"
                if not field.converged or reason == "non_finite":
                    continue
                orbitals = on_host(field.mo_coeff)[:, on_host(field.mo_occ) > 0]
                gradients = field.Gradients()
                gradients.verbose = 0
                forces = -on_host(gradients.kernel())
                if not self.gpu:
                    forces -= fourth_term(cell, self.density(orbitals))
                stress = on_host(gradients.get_stress()) if self.gpu else self.stress(atoms, orbitals)
                self._guess, self._guess_numbers = orbitals, atoms.numbers.copy()
                return Label(
                    energy_ev=float(field.e_tot) * Hartree + dispersion.energy_ev,
                    forces_ev_a=forces * (Hartree / Bohr) + dispersion.forces_ev_a,
                    stress_ev_a3=(stress + stress.T) / 2 * (Hartree / Bohr**3) + dispersion.stress_ev_a3,
                    converged=True,
                    scf_steps=steps,
                    guess="retry" if number else "chained" if warm else "cold",
                )
        except MemoryError:  # numpy's, and CuPy's of the GPU
            reason = "out_of_memory"
        return no_label(reason, steps)

    def label_alone(self, atoms: Atoms, turned: bool = False) -> Label:
        """Label an ion without images: the same level with PySCF's molecular code, on the CPU; it is small.

        Where a potential has the fourth coefficient, whose y component PySCF has wrong here too, that comes from a second
        calculation in which the y axis is `turned` into the x axis.
        """
        dispersion = self.dispersion(atoms)
        molecule = self.described(mole.Mole(), atoms)
        molecule.charge = round(atoms.get_initial_charges().sum())
        molecule.build(dump_input=False, parse_arg=False)
        steps = 0
        for number, (cycles, shift) in enumerate(((CYCLES, 0.0), (STURDY_CYCLES, LEVEL_SHIFT))):
            field = pyscf.dft.RKS(molecule, xc=FUNCTIONALS[self.settings.functional])
            field.grids.level = GRID_LEVEL
            self.converge_to(field)
            field.max_cycle, field.level_shift = cycles, shift
            field.kernel()
            steps += field.cycles + 1 + bool(field.converged)
            if not field.converged:
                continue
            gradients = molecular_gradients.Gradients(field)
            gradients.verbose = 0
            gradients.grid_response = True
            forces_ev_a = dispersion.forces_ev_a - gradients.kernel() * (Hartree / Bohr)
            if not turned and len(atoms) > 1 and any(len(pseudo[3]) > 3 for pseudo in molecule._pseudo.values()):
                other = atoms.copy()
                other.positions = atoms.positions[:, [1, 2, 0]]
                again = self.label_alone(other, turned=True)
                if again.forces_ev_a is None:
                    return again
                forces_ev_a[:, 1] = again.forces_ev_a[:, 0]
            return Label(
                energy_ev=float(field.e_tot) * Hartree + dispersion.energy_ev,
                forces_ev_a=forces_ev_a,
                stress_ev_a3=virial_stress(atoms, forces_ev_a),
                converged=True,
                scf_steps=steps,
                guess="retry" if number else "cold",
            )
        return no_label("scf_not_converged", steps)

    def described(self, system: Any, atoms: Atoms) -> Any:
        """Return a cell or a molecule of PySCF with the atoms of a frame, their basis sets and pseudopotentials."""
        basis, potential = self.settings.basis, self.settings.potential
        system.unit = "B"
        system.atom = list(zip(atoms.get_chemical_symbols(), atoms.positions / Bohr, strict=True))
        entries = {element: entry(element, basis, potential) for element in set(atoms.symbols)}
        system.basis = {element: parse_cp2k.parse(texts[0]) for element, texts in entries.items()}
        system.pseudo = {element: parse_cp2k_pp.parse(texts[1]) for element, texts in entries.items()}
        system.verbose = 0
        return system

    def converge_to(self, field: Any) -> None:
        """Give a mean field the convergence of the settings."""
        field.verbose = 0
        field.chkfile = None
        field.conv_tol = self.settings.eps_scf / 10
        field.conv_tol_grad = self.settings.eps_scf * GRADIENT_NORM

    def cell(self, atoms: Atoms, mesh: np.ndarray | None = None) -> gto.Cell:
        """Return PySCF's cell of a frame, on the mesh of the cut-off or on the given one."""
        cell = self.described(gto.Cell(), atoms)
        cell.a = atoms.cell.array / Bohr
        cell.precision = PRECISION
        if mesh is None:
            cell.ke_cutoff = self.settings.cutoff_Ry / 2  # Hartree
        else:
            cell.mesh = mesh
        cell.build(dump_input=False, parse_arg=False)
        return cell

    def mean_field(self, cell: gto.Cell) -> Any:
        """Return the restricted Kohn-Sham calculation of a cell."""
        name = FUNCTIONALS[self.settings.functional]
        if self.gpu:
            field = importlib.import_module("gpu4pyscf.pbc.dft").RKS(cell, xc=name).multigrid_numint()
        else:
            field = dft.RKS(cell, xc=name).multigrid_numint()
            field._numint.rel_cutoff = REL_CUTOFF_RY / 2  # Hartree
        self.converge_to(field)
        return field

    def density(self, orbitals: np.ndarray) -> Any:
        """Return the density matrix of doubly occupied orbitals, where the mean field wants it."""
        density = 2 * orbitals @ orbitals.T
        return importlib.import_module("cupy").asarray(density) if self.gpu else density

    def stress(self, atoms: Atoms, orbitals: np.ndarray) -> np.ndarray:
        """Return the stress (3, 3) of the electrons and nuclei in Ha/Bohr^3 (see the top of this file)."""
        mesh = self.cell(atoms).mesh
        stress = np.zeros((3, 3))
        for i, j in STRAINS:
            energies = []
            for sign in (1, -1):
                strain = np.eye(3)
                strain[i, j] += sign * STRAIN / 2
                strain[j, i] += sign * STRAIN / 2
                strained = atoms.copy()
                strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
                cell = self.cell(strained, mesh)
                energies.append(self.mean_field(cell).energy_tot(self.density(orthonormal(orbitals, overlap(cell)))))
            stress[i, j] = stress[j, i] = (energies[0] - energies[1]) / (2 * STRAIN)
        return stress / (atoms.get_volume() / Bohr**3)

    def dispersion(self, atoms: Atoms) -> Dispersion:
        """Return the dispersion correction."""
        return DISPERSIONS[self.settings.dispersion](atoms, self.settings.functional)


def use_gpu(device: str) -> Any:
    """Return GPU4PySCF where it is installed and sees a GPU, or None; raises UserError where `device` must have it."""
    if device == "cpu":
        return None
    try:
        count = importlib.import_module("cupy").cuda.runtime.getDeviceCount()
        module = importlib.import_module("gpu4pyscf")
    except Exception as error:  # not installed, no driver, a library that cannot be loaded
        if is_resource(error):
            raise
        if device == "cuda":
            raise UserError(f"labels.device: 'cuda' cannot be had here: {error}") from None
        return None
    if count == 0 and device == "cuda":
        raise UserError("labels.device: 'cuda' cannot be had here: there is no GPU")
    return module if count else None


def on_host(array: Any) -> np.ndarray:
    """Return an array of the CPU or of the GPU as one of the CPU."""
    return array if isinstance(array, np.ndarray) else np.asarray(array.get())


def overlap(cell: gto.Cell) -> np.ndarray:
    """Return the overlap matrix of a cell at the gamma point."""
    return np.asarray(cell.pbc_intor("int1e_ovlp", hermi=1)).real


def orthonormal(orbitals: np.ndarray, overlap: np.ndarray) -> np.ndarray:
    """Return orbitals (n_ao, n) that are orthonormal in an overlap matrix and as near as can be to the given ones."""
    values, vectors = np.linalg.eigh(orbitals.T @ overlap @ orbitals)
    return orbitals @ (vectors / np.sqrt(values)) @ vectors.T
