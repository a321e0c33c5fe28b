"""Benchmarks: `python -m bench.<name>` prints one table."""
