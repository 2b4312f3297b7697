"""What may be wrong with a file that somebody gave us."""


class BrokenFileError(ValueError):
    """A file that cannot be read: it may be left out of many by request."""


class UnsupportedFileError(ValueError):
    """A sound file of a kind that is not read (yet)."""
