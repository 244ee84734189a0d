"""What the page carries packed, and unpacks itself: plotly.js and the data of the figures, as gzip in base64.

Of plotly.js it is the basic bundle (points, lines and bars), a quarter of the whole, as npm's plotly.js-basic-dist-min has it.
Its version is the one that the Python package writes figures for.
"""

import base64
import gzip
from pathlib import Path

PLOTLY = Path(__file__).with_name("plotly-basic.min.js.gz")
VERSION = "4.1.1"
SHA256 = "99784e3abfb07b142a15e521a439e6d9addceadb3f79553fd24c72774f0649ba"  # of the file as published, unpacked


def plotly_js() -> str:
    """Return plotly.js, packed."""
    return base64.b64encode(PLOTLY.read_bytes()).decode()


def packed(text: str) -> str:
    """Return a text, packed; the same text always gives the same."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def unpacked(text: str) -> str:
    """Return the text that `packed` was given."""
    return gzip.decompress(base64.b64decode(text)).decode()
