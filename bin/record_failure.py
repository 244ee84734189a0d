#!/usr/bin/env python3
"""Tell whether a task that failed did so for its model alone, and if so, end well: the model is then a row with its reason."""

import sys

from ionmelt.failure import main

if __name__ == "__main__":
    sys.exit(main())
