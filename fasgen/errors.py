"""The errors that fasgen raises for its users. Each message says what was wrong, where, and what to change."""

from __future__ import annotations


class FasgenError(Exception):
    """Base of every error that is shown to the user without a traceback."""

    exit_code = 2


class ConfigError(FasgenError):
    """A configuration value is unknown, of the wrong type or out of range."""


class ResourceError(FasgenError):
    """More devices, memory or disk was asked for than the machine or cluster has."""


class SourceError(FasgenError):
    """A source as a whole cannot be used (a single bad file is a row with a reason, never this)."""


class WeightsError(FasgenError):
    """Weights are missing, of the wrong shape or layout, or of a format that is not loaded for safety."""


class StoreError(FasgenError):
    """What lies in the store contradicts itself or cannot be read or written."""


class FilterError(FasgenError):
    """A filter expression over manifests is not valid."""
