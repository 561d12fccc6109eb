"""Every mend, in the order it is applied. The README has a row per mend."""

from __future__ import annotations


def apply_all() -> None:
    """Mends the imported MiniStack; call once, before it serves."""
    from sluicegate_emulator import events, faults, jobs, lambdas
    from sluicegate_emulator.states import api, fan_out, retry, run, task

    for module in (run, task, fan_out, retry, api, jobs, events, lambdas, faults):
        module.apply()
