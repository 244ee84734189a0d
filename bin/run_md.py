#!/usr/bin/env python3
"""Run the molecular dynamics of one liquid with one model: NPT, then NVT at the mean density."""

import sys

from ionmelt.dynamics.run import main

if __name__ == "__main__":
    sys.exit(main())
