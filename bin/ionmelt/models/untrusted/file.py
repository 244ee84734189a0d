"""What a file of weights would run, found out without running any of it, against lists of what models need.

Two kinds of file are read: pickles (pickles.py) and TorchScript (script.py). What is on no list (allowed.py) is refused by its
name: files of a library that this program does not know are refused too.
"""

import zipfile
from pathlib import Path

from ionmelt.models.untrusted.archive import NO_DATA, Archive, content
from ionmelt.models.untrusted.checked import Checked
from ionmelt.models.untrusted.pickles import check_pickle
from ionmelt.models.untrusted.refusals import NotThisKindError, RefusedError
from ionmelt.models.untrusted.script import check_script


def check(path: Path) -> Checked:
    """Return what a file of weights names; nothing of it runs.

    Raises `NotThisKindError` where PyTorch did not write it, `RefusedError` where it would do what no model needs.
    """
    checked = Checked()
    with Archive(path) as (archive, records):
        if "data.pkl" not in records:
            raise NotThisKindError(NO_DATA)
        script = "constants.pkl" in records
        if not script:
            if any(record.compress_type != zipfile.ZIP_STORED for record in records.values()):
                raise RefusedError("an archive with packed records, which PyTorch does not write")
            check_pickle(content(archive, records["data.pkl"]), records, checked)
            return checked
    check_script(path, checked)
    checked.script = True
    return checked
