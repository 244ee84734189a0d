"""Ionmelt: which machine-learned force field may be trusted for a liquid. One sub-package a stage."""
