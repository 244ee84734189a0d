"""Why a file of weights is not opened."""


class RefusedError(Exception):
    """A file would run, or is, what no model needs; the text says what it holds."""


class CallsError(RefusedError):
    """A pickle names or calls what no model needs; the text is their names."""


class NotThisKindError(Exception):
    """A file is not of the kind that was looked for."""
