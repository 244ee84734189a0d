#!/usr/bin/env python3
"""Make a model folder of weights, or of a calculator class, that a user brings: checked, described, used as it is."""

import sys

from ionmelt.models.importing import main

if __name__ == "__main__":
    sys.exit(main())
