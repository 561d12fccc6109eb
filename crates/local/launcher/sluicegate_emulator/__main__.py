"""`python -m sluicegate_emulator`: see the README for the environment it reads."""

from sluicegate_emulator.process import main

if __name__ == "__main__":
    main()
