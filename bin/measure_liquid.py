#!/usr/bin/env python3
"""Measure density, diffusion and structure of one run, each with its error or the reason for having none."""

import sys

from ionmelt.measure.run import main

if __name__ == "__main__":
    sys.exit(main())
