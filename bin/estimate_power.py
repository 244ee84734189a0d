#!/usr/bin/env python3
"""Say what differences between models the design of a study can decide, from how its classical liquids fluctuate."""

import sys

from ionmelt.compare.fluctuations import main

if __name__ == "__main__":
    sys.exit(main())
