"""A classical force field of a liquid as an ASE calculator, by OpenMM."""

import os
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes

KJ_MOL = units.kJ / units.mol
# Half-width of the central difference in OpenMM's energy: small enough that the third-order term is
# below 0.1 bar, large enough that single-precision energies do not matter.
STRAIN = 2e-4


class ClassicalCalculator(Calculator):
    """A fixed-charge force field in OpenMM.

    Energy and forces are OpenMM's; the stress is a central difference of the energy over strain, since
    OpenMM has no virial. With ``hydrostatic`` only the isotropic part is computed (2 energies rather
    than 12) and stands on the diagonal, which is all that an isotropic barostat reads.
    """

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012  (ASE's interface)
    stress_is_dear = True  # it takes further energies, and is computed only where something needs it

    def __init__(self, system_xml: str, hydrostatic: bool = False, platform: str = "CPU") -> None:
        super().__init__()
        # One thread: with more, forces differ in their last bits from call to call.
        os.environ["OPENMM_CPU_THREADS"] = "1"
        import openmm

        self.openmm = openmm
        properties = {"Threads": "1", "DeterministicForces": "true"} if platform == "CPU" else {}
        self.context = openmm.Context(
            openmm.XmlSerializer.deserialize(system_xml),
            openmm.VerletIntegrator(0.001),
            openmm.Platform.getPlatformByName(platform),
            properties,
        )
        self.hydrostatic = hydrostatic

    @property
    def charges_e(self) -> np.ndarray | None:
        """The charges (e) of the atoms (N,); None of a force field that has them in no `NonbondedForce`."""
        forces = [f for f in self.context.getSystem().getForces() if isinstance(f, self.openmm.NonbondedForce)]
        if not forces:
            return None
        unit = self.openmm.unit.elementary_charge
        numbers = range(forces[0].getNumParticles())
        return np.array([forces[0].getParticleParameters(k)[0].value_in_unit(unit) for k in numbers])

    def reset(self) -> None:
        """Forget what was computed, OpenMM's neighbours too: their order decides the last bits of the forces."""
        super().reset()
        self.context.reinitialize()

    def _state(self, cell: np.ndarray, positions: np.ndarray, forces: bool) -> Any:
        try:
            self.context.setPeriodicBoxVectors(*(cell / 10))
            self.context.setPositions(positions / 10)
            return self.context.getState(getEnergy=True, getForces=forces)
        except self.openmm.OpenMMException as error:
            # an exception of its own kind, such as for positions that are NaN, or a cell
            raise RuntimeError(f"OpenMM: {error}") from error

    def _energy(self, cell: np.ndarray, positions: np.ndarray) -> float:
        energy = self._state(cell, positions, forces=False).getPotentialEnergy()
        return energy.value_in_unit(self.openmm.unit.kilojoule_per_mole) * KJ_MOL

    def _strain_derivative(self, direction: np.ndarray) -> float:
        """Return dE/d(strain) in eV along one strain direction (3, 3)."""
        assert self.atoms is not None  # ASE has set it
        cell, positions = self.atoms.cell.array, self.atoms.positions
        ends = []
        for sign in (1, -1):
            deform = np.eye(3) + sign * STRAIN * direction
            ends.append(self._energy(cell @ deform, positions @ deform))
        return (ends[0] - ends[1]) / (2 * STRAIN)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute energy (eV) and forces (eV/A), and the stress (eV/A^3, Voigt) when asked for."""
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None  # ASE has set it
        if (size := self.context.getSystem().getNumParticles()) != len(self.atoms):
            raise ValueError(f"a force field of the whole box, {size} atoms: this frame has {len(self.atoms)} of them")
        unit = self.openmm.unit
        state = self._state(self.atoms.cell.array, self.atoms.positions, forces=True)
        self.results["energy"] = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole) * KJ_MOL
        forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.angstrom)
        self.results["forces"] = np.asarray(forces) * KJ_MOL
        if properties is None or "stress" not in properties:
            return
        volume = self.atoms.get_volume()
        if self.hydrostatic:
            isotropic = self._strain_derivative(np.eye(3)) / (3 * volume)
            self.results["stress"] = np.array([isotropic] * 3 + [0.0] * 3)
        else:
            # Simple shears: they differ from symmetric strains by a rotation, which costs no energy,
            # and keep the cell lower triangular, which OpenMM asks for.
            voigt = [(0, 0), (1, 1), (2, 2), (2, 1), (2, 0), (1, 0)]
            directions = [np.outer(np.eye(3)[i], np.eye(3)[j]) for i, j in voigt]
            self.results["stress"] = np.array([self._strain_derivative(d) for d in directions]) / volume
