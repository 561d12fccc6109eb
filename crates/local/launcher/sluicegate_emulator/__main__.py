"""`python -m sluicegate_emulator`. The README describes the environment variables."""

from sluicegate_emulator.process import main

if __name__ == "__main__":
    main()
