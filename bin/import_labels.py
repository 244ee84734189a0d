#!/usr/bin/env python3
"""Import labels that someone already has, under the same contract and checks as our own."""

import sys

from ionmelt.labels.importing import main

if __name__ == "__main__":
    sys.exit(main())
