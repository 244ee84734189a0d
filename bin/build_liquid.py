#!/usr/bin/env python3
"""BUILD_LIQUID: pack ions into a periodic box and write its topology and force field."""

import sys

from ionmelt.liquid.packing import main

if __name__ == "__main__":
    sys.exit(main())
