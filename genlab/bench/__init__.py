"""Speed and numerical agreement of a recipe across devices, precisions and runners, measured so that they hold up.

``running`` plans combinations and has each measured in processes of its own (``worker``), interleaved in random
order; ``result`` is the file that comes out; ``comparing`` says which differences between two files are real.
Looking at results needs no torch; ``docs/bench.md`` documents protocol, schema, statistics and tolerances.
"""
