#!/usr/bin/env python3
"""EQUILIBRATE: turn a packed box into the liquid that every model starts from."""

import sys

from ionmelt.liquid.equilibration import main

if __name__ == "__main__":
    sys.exit(main())
