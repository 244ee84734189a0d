"""Energies, forces and stress of frames: computed, stored, or brought by the user."""
