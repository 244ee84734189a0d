#!/usr/bin/env python3
"""Tell whether a task that failed did so for its model alone."""

import sys

from ionmelt.failure import main

if __name__ == "__main__":
    sys.exit(main())
