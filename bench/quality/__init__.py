"""Quality of the generator: does it keep the person, and does its cue help to tell attacks?

``python -m bench.quality identity`` and ``python -m bench.quality probe``; see the modules of those names.
"""
