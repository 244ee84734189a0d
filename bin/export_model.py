#!/usr/bin/env python3
"""Make the folder of a model that its user is given: what was trained or imported, a page to read, and the form that LAMMPS loads."""

import sys

from ionmelt.models.export import main

if __name__ == "__main__":
    sys.exit(main())
