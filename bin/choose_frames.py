#!/usr/bin/env python3
"""Of the frames that explorations found worth a label, choose those to label: the physical ones that add most."""

import sys

from ionmelt.frames.choice import main

if __name__ == "__main__":
    sys.exit(main())
