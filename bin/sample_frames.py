#!/usr/bin/env python3
"""Choose the frames of one liquid to be labelled: equilibrated ones, and ones pushed away from equilibrium."""

import sys

from ionmelt.frames.sampling import main

if __name__ == "__main__":
    sys.exit(main())
