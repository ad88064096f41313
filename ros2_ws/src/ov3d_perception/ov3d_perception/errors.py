"""The error tree: one class per door, so that a caller can tell a bad file from a bad question.

Every message says what failed, where, what was expected, what was found, and what to do about it.
"""


class Ov3dError(Exception):
    """Base of every error that ov3d raises on purpose; the message is meant for the person at the keyboard."""


class ConfigError(Ov3dError):
    """A parameter, YAML key or command-line value is missing, unknown or out of range."""


class DataError(Ov3dError):
    """A file, message or data set does not hold what its format promises."""


class GeometryError(Ov3dError):
    """A transform, intrinsic matrix or shape of points is not what geometry needs."""


class FrameError(Ov3dError):
    """One sweep cannot be processed (missing transform, stale image); the next one may be fine."""


class ModelError(Ov3dError):
    """A bundle, its card or its graph is missing, corrupt or does not fit the others."""


class QueryError(Ov3dError):
    """A vocabulary cannot be used; the one before it stays active."""
