"""Ions, their force fields, and boxes of liquid."""
