"""Structures to be labelled: sampled, explored, chosen."""
