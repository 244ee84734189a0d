#!/usr/bin/env python3
"""Describe the results of a finished run as an RO-Crate: ro-crate-metadata.json in their folder, for archives and catalogues."""

import sys

from ionmelt.report.crate import main

if __name__ == "__main__":
    sys.exit(main())
