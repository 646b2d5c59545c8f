"""`cendre bench`: how fast programs run under cendre, one feature at a time, against plain CPython.

Everything is measured in processes of its own; this package starts them and does the arithmetic. What the rows mean
and how to read the table: `docs/benchmarks.md`.
"""
