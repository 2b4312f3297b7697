"""The formats of files that can be ingested, one module each, found in `FORMATS`."""

from atmodist.files.discovery import Registry
from atmodist.ingestion.file_format import FileFormat

FORMATS: Registry[FileFormat] = Registry(__name__, "FORMAT", what="file format", kind=FileFormat)
