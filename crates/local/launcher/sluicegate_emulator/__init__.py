"""The emulated AWS of the local run: MiniStack, started with patches.

Read `patches.py` first: it lists every patch in the order of application. The README of this package describes for each patch
what MiniStack does, what AWS does, and which test covers it.
"""

MINISTACK = "1.5.33"
"""The only MiniStack version that these patches support: they replace private functions of it."""
