"""What the page carries packed: plotly.js as it was published, and texts that come back as they were."""

import gzip
import hashlib

from plotly.offline import get_plotlyjs_version

from ionmelt.report import packed


def test_plotly_is_the_published_file_of_the_version_that_figures_are_written_for() -> None:
    script = gzip.decompress(packed.PLOTLY.read_bytes())
    assert hashlib.sha256(script).hexdigest() == packed.SHA256
    assert f"plotly.js (basic - minified) v{packed.VERSION}\n" in script[:200].decode()
    assert get_plotlyjs_version() == packed.VERSION
    assert "MIT" in packed.PLOTLY.with_name("plotly-basic.LICENSE").read_text()


def test_what_is_packed_comes_back_and_is_the_same_each_time() -> None:
    text = 'a < b & "ü"' * 1000
    assert packed.unpacked(packed.packed(text)) == text
    assert packed.packed(text) == packed.packed(text) and len(packed.packed(text)) < len(text) / 10
