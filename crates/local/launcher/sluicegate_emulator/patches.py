"""Lists every patch in the order of application. The README has a row for each patch."""

from __future__ import annotations


def apply_all() -> None:
    """Patches the imported MiniStack. Call once, before it serves."""
    from sluicegate_emulator import answers, events, faults, function_urls, jobs, lambdas, readback
    from sluicegate_emulator.containers import balancers, engine, registry, services, targets
    from sluicegate_emulator.states import api, fan_out, retry, run, task

    states = (run, task, fan_out, retry, api)
    containers = (engine, registry, targets, balancers, services)
    for module in (answers, *states, jobs, events, lambdas, function_urls, *containers, readback, faults):
        module.apply()
