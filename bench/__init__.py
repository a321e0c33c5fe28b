"""Benchmarks: `python -m bench` runs all and prints one table, `python -m bench.<name>` runs one."""
