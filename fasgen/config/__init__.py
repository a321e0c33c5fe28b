"""The configuration: one frozen tree, read from presets, a YAML file and ``a.b=c`` overrides.

Later wins: defaults of the stages, then the preset, then the file, then the overrides. Nothing is guessed: an unknown key, a
wrong type or a value out of range is refused with the key, what it wants, and where it was written.
"""

from fasgen.config.anchors import place
from fasgen.config.complaints import nearest
from fasgen.config.loading import load, preset_names
from fasgen.config.root import Config, root_model

__all__ = ["Config", "load", "nearest", "place", "preset_names", "root_model"]
