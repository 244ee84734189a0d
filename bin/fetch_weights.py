#!/usr/bin/env python3
"""Fetch named weights of a foundation model, for a machine with a network, and print what to write into a study."""

import sys

from ionmelt.models.fetching import main

if __name__ == "__main__":
    sys.exit(main())
