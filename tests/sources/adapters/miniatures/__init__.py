"""Data sets in miniature: true layouts and names, real encoded files of a few pixels, a few subjects, every attack code.

A miniature is a module with ``make(root)``, which writes it, ``ROWS``, what its files must become, one line a file, and
``UNKNOWN``, the paths that must be listed as unknown.
"""
