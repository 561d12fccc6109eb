"""Parallel and Map: separate variables per branch; the first failure fails the state immediately and stops the other branches."""

from __future__ import annotations

import contextvars
import copy
import threading
from collections.abc import Callable

from ministack.services import stepfunctions as sfn

from sluicegate_emulator.states import run
from sluicegate_emulator.states.attempt import Error
from sluicegate_emulator.states.scope import CURRENT, Scope, Stopped, current, spawn


def run_all(works: list[Callable[[], object]], limit: int) -> list:
    """Runs the functions, at most `limit` at a time (0: all), and returns their results in order.

    Raises the first error and stops the others without waiting for them. Raises `Stopped` when the caller's scope is stopped.
    """
    scope = Scope(current())
    changed = threading.Condition()
    results: list = [None] * len(works)
    state = {"next": 0, "done": 0, "error": None}

    def wake() -> None:
        with changed:
            changed.notify_all()

    def worker() -> None:
        CURRENT.set(scope)
        while True:
            with changed:
                index = state["next"]
                if index >= len(works) or scope.stopped:
                    return
                state["next"] += 1
            try:
                # A separate context: the last event of one branch does not precede the next event of another.
                result, error = contextvars.copy_context().run(works[index]), None
            except Stopped:
                return
            except Error as err:
                result, error = None, err
            except Exception as err:  # noqa: BLE001: a defect in one branch is an error of that branch
                sfn.logger.exception("a branch failed in itself")
                result, error = None, Error("States.Runtime", str(err))
            with changed:
                results[index] = result
                state["done"] += 1
                state["error"] = state["error"] or error
                changed.notify_all()

    scope.listen(wake)
    try:
        for _ in range(min(limit, len(works)) if limit > 0 else len(works)):
            spawn(worker, name="states-branch")
        with changed:
            while state["done"] < len(works) and state["error"] is None and not scope.stopped:
                changed.wait()
        if state["error"] is not None:
            raise state["error"]
        scope.check()
        return results
    finally:
        scope.stop()
        scope.close()


def run_parallel(state: dict, raw: object, execution: dict, ctx: dict) -> tuple:
    """Runs one attempt of a Parallel state. Returns (output, name of the next state)."""
    jsonata = sfn._state_query_language(state, ctx) == "JSONata"
    if jsonata:
        data = sfn._apply_jsonata_arguments(state, raw, ctx)
    else:
        data = sfn._apply_parameters(state, sfn._apply_input_path(state, raw, ctx), ctx)

    def branch(definition: dict) -> Callable[[], object]:
        inner = copy.deepcopy(ctx)
        return lambda: run.walk(definition["States"], definition["StartAt"], copy.deepcopy(data), execution, inner)

    sfn._add_event(execution, "ParallelStateStarted")
    results = _recorded(execution, "Parallel", lambda: run_all([branch(b) for b in state.get("Branches", [])], 0))
    return _finish(state, raw, ctx, results, jsonata)


def run_map(state: dict, raw: object, execution: dict, ctx: dict) -> tuple:
    """Runs one attempt of an inline Map state; MiniStack runs a distributed one. Returns (output, name of the next state)."""
    jsonata = sfn._state_query_language(state, ctx) == "JSONata"
    processor = state.get("Iterator") or state.get("ItemProcessor", {})
    data = sfn._apply_input_path(state, raw, ctx)
    if (processor.get("ProcessorConfig") or {}).get("Mode") == "DISTRIBUTED":
        return sfn._run_distributed_map(state, raw, data, processor, execution, ctx)
    if jsonata and "Items" in state:
        items = sfn._jsonata_state_field(state, "Items", "array", raw, ctx)
    else:
        items = sfn._resolve_path_or_ctx(state.get("ItemsPath", "$"), data, ctx)
    if not isinstance(items, list):
        raise Error("States.Runtime", f"Map needs an array of items, not {sfn._json_type(items)}")
    limit = state.get("MaxConcurrency", 0)
    if jsonata and "MaxConcurrency" in state:
        limit = sfn._jsonata_state_field(state, "MaxConcurrency", "number", raw, ctx)

    def iteration(index: int, item: object) -> Callable[[], object]:
        def work() -> object:
            inner = copy.deepcopy(ctx)
            inner["Map"] = {"Item": {"Index": index, "Value": item}}
            selector = state.get("ItemSelector") or state.get("Parameters")
            if not selector:
                value = item
            elif jsonata:
                value = sfn._apply_jsonata_template(selector, raw, inner)
            else:
                value = sfn._resolve_params_obj(selector, data, inner)
            details = {"name": ctx["State"]["Name"], "index": index}
            sfn._add_event(execution, "MapIterationStarted", {"mapIterationStartedEventDetails": details})
            try:
                output = run.walk(processor["States"], processor["StartAt"], copy.deepcopy(value), execution, inner)
            except Error:
                sfn._add_event(execution, "MapIterationFailed", {"mapIterationFailedEventDetails": details})
                raise
            sfn._add_event(execution, "MapIterationSucceeded", {"mapIterationSucceededEventDetails": details})
            return output

        return work

    sfn._add_event(execution, "MapStateStarted", {"mapStateStartedEventDetails": {"length": len(items)}})
    works = [iteration(index, item) for index, item in enumerate(items)]
    results = _recorded(execution, "Map", lambda: run_all(works, int(limit)))
    return _finish(state, raw, ctx, results, jsonata)


def _recorded(execution: dict, kind: str, work: Callable[[], list]) -> list:
    try:
        results = work()
    except Error:
        sfn._add_event(execution, f"{kind}StateFailed")
        raise
    sfn._add_event(execution, f"{kind}StateSucceeded")
    return results


def _finish(state: dict, raw: object, ctx: dict, results: list, jsonata: bool) -> tuple:
    if jsonata:
        output = sfn._apply_jsonata_output(state, raw, ctx, result=results, default=results)
        sfn._apply_state_assign(state, raw, ctx, result=results)
    else:
        output = sfn._apply_result_path(state, raw, sfn._apply_result_selector(state, results))
        output = sfn._apply_output_path(state, output, ctx)
    return output, sfn._next_or_end(state)


def apply() -> None:
    """Replaces MiniStack's functions with those above."""
    sfn._run_parallel_branches = run_parallel
    sfn._run_map_items = run_map
