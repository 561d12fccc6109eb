"""The emulated AWS of the local run: MiniStack, started with patches.

Read `patches.py` first: it lists every patch in the order it is applied. The README next to this package says for each
one what MiniStack does, what AWS does, and which test holds it.
"""

MINISTACK = "1.5.33"
"""The only MiniStack version these patches are written for: they replace private functions of it."""
