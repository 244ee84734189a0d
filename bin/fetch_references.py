#!/usr/bin/env python3
"""Fetch what was measured of a pure liquid from NIST ILThermo, for a machine with a network, as a CSV that a study takes."""

import sys

from ionmelt.study.reference_fetching import main

if __name__ == "__main__":
    sys.exit(main())
