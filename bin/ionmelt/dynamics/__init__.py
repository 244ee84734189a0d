"""Molecular dynamics with any model."""
