"""The archive that PyTorch writes, and its records."""

import io
import zipfile
from pathlib import Path

from ionmelt.errors import is_resource
from ionmelt.models.untrusted.refusals import NotThisKindError, RefusedError

# Sizes that no model comes near: of what a file unpacks to, and of its pickle or its source.
LARGEST_PICKLE = 2 * 10**8
LARGEST_SOURCE = 10**8
NO_DATA = "an archive of other files"


class Archive:
    """The records of a file that PyTorch wrote, by their names; refuses archives that two readers may read in two ways."""

    def __init__(self, source: Path | io.BytesIO) -> None:
        self.source = source

    def __enter__(self) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
        try:
            self.archive = zipfile.ZipFile(self.source)
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise NotThisKindError("no archive") from error
        infos = self.archive.infolist()
        if not any(info.filename.endswith("/data.pkl") for info in infos):
            raise NotThisKindError(NO_DATA)
        file = self.archive.fp
        assert file is not None
        file.seek(0)
        start = file.read(4)
        file.seek(-22, io.SEEK_END)
        end = file.read(4)
        tops = {info.filename.partition("/")[0] for info in infos}
        names = [info.filename.lower() for info in infos]
        if start != b"PK\x03\x04" or end != b"PK\x05\x06" or len(set(names)) != len(names) or len(tops) != 1:
            raise RefusedError("an archive that is not as PyTorch writes it")
        for info in infos:
            packed = info.compress_type != zipfile.ZIP_STORED
            if info.flag_bits & 1 or (packed and info.file_size > LARGEST_SOURCE):
                raise RefusedError("an archive with records that unpack to more than any model has")
        return self.archive, {info.filename.partition("/")[2]: info for info in infos}

    def __exit__(self, *error: object) -> None:
        self.archive.close()


def content(archive: zipfile.ZipFile, record: zipfile.ZipInfo) -> bytes:
    """Return what a record holds."""
    if record.file_size > LARGEST_PICKLE:
        raise RefusedError("a pickle larger than any model's")
    try:
        return archive.read(record)
    except Exception as error:  # each kind of damage has its own
        if is_resource(error) or isinstance(error, RefusedError):
            raise
        raise NotThisKindError("damaged") from error
