#!/usr/bin/env python3
"""Measure what a label costs here: a probe of each liquid with the study's own engine and settings."""

import sys

from ionmelt.labels.estimate import main

if __name__ == "__main__":
    sys.exit(main())
