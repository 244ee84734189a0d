#!/usr/bin/env python3
"""Split the labelled frames into training, validation and test sets, and write them for MACE and DeePMD."""

import sys

from ionmelt.dataset.split import main

if __name__ == "__main__":
    sys.exit(main())
