#!/usr/bin/env python3
"""Gather everything a study produced into tables and a report: which model may be trusted, at what cost."""

import sys

from ionmelt.compare.run import main

if __name__ == "__main__":
    sys.exit(main())
