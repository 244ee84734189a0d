"""Labelled frames as training, validation and test sets."""
