"""How each framework trains."""
