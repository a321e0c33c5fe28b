"""One call that says how fast fasgen is on a GPU: ``python -m bench.gpu``.

Every case runs in a process of its own. They load and compile side by side, each saying when it is ready; then they measure
one after the other, with the device to themselves. One that fails, or takes too long, costs nobody else anything.
"""
