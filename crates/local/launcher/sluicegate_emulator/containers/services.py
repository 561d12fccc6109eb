"""ECS services and tasks: image addresses, access to the emulator, and rollouts without lost requests."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from ministack.core.concurrency import spawn_background
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import ecs

from sluicegate_emulator.containers import engine, registry, targets

STEADY_SECONDS = 1.0
"""The time that a container must run before its task counts as started."""


def start_worker(original: Callable) -> Callable:
    """Starts a task with images from the emulator's registry, regardless of the host in their names."""

    def start(task: dict, definition: dict, overrides: list, docker_client: object) -> None:
        for container in definition.get("containerDefinitions", []):
            container["image"] = registry.reachable(container["image"])
        original(task, definition, overrides, docker_client)

    return start


def register_metadata(original: Callable) -> Callable:
    """Returns a container's environment, with a reachable address of the emulator and valid credentials."""

    def register(task_arn: str, cluster_arn: str, definition: dict, container: dict, launch_type: str, env: dict,
                 host_mode: bool, _address: str | None) -> str:
        own = dict(env)
        token = original(
            task_arn, cluster_arn, definition, container, launch_type, env, host_mode, engine.gateway()
        )
        # SDKs refuse credentials over plain HTTP from an address that is neither loopback nor ECS's own.
        for name in ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN"):
            env.pop(name, None)
        env.update({
            "AWS_REGION": get_region(),
            "AWS_DEFAULT_REGION": get_region(),
            "AWS_ACCESS_KEY_ID": get_account_id(),
            "AWS_SECRET_ACCESS_KEY": "emulator",
        } | own)
        return token

    return register


def make_deployment(original: Callable) -> Callable:
    """Keeps a new service's deployment in progress until its tasks are steady."""

    def make(definition: str, desired: int, status: str = "PRIMARY") -> dict:
        deployment = original(definition, desired, status)
        if desired > 0 and ecs._get_docker():
            deployment.update(rolloutState="IN_PROGRESS", rolloutStateReason="ECS deployment in progress.")
        return deployment

    return make


def _groups(task: dict) -> list[tuple[str, int]]:
    """Returns the target groups (ARN, port) in which a service task is registered."""
    service = _service(task)[1] or {}
    return [
        (one["targetGroupArn"], one.get("containerPort", 80))
        for one in service.get("loadBalancers") or []
        if one.get("targetGroupArn")
    ]


def _service(task: dict) -> tuple[str, dict | None]:
    """Returns the key and record of the service that a task belongs to."""
    cluster = ecs._cluster_name_from_arn(task.get("clusterArn", ""))
    key = f"{cluster}/{task.get('group', '').partition(':')[2]}"
    return key, ecs._services.get(key)


def schedule(original: Callable) -> Callable:
    """Monitors a started service task: steady when its targets are healthy, replaced when they are not."""

    def watch_or_schedule(cluster: str, key: str, account: str, region: str, healthy_task: dict | None = None) -> None:
        if healthy_task is None:
            original(cluster, key, account, region)
            return

        def watch() -> None:
            with request_scope(account, region):
                _watch(cluster, key, healthy_task)

        spawn_background(watch, thread_name="ecs-service-task")

    return watch_or_schedule


def _watch(cluster: str, key: str, task: dict) -> None:
    started = time.monotonic()
    service = ecs._services.get(key) or {}
    grace = service.get("healthCheckGracePeriodSeconds") or 0
    while ecs._task_is_active(task["taskArn"], task):
        age = time.monotonic() - started
        address = ecs._task_ip(task)
        groups = _groups(task)
        states = {targets.state_of(group, address, port) for group, port in groups} if address else {"healthy"}
        if not task.get("_startup_stable") and age >= STEADY_SECONDS and states <= {"healthy"}:
            deployment = ecs._deployment_for_task(ecs._services.get(key) or {}, task)
            ecs._record_service_task_healthy(key, task)
            ecs._refresh_service_state(cluster, task["group"])
            ecs._reconcile_service_tasks(cluster, key)
            ecs._complete_service_deployment(
                cluster, key, expected_deployment_id=deployment["id"] if deployment else None
            )
        elif "unhealthy" in states and age >= grace:
            reason = f"Task failed ELB health checks in (target-group {groups[0][0]})"
            if ecs._mark_task_stopped(task["taskArn"], task, reason, "ServiceSchedulerInitiated"):
                ecs._record_service_task_failure(task)
                ecs._cleanup_task_resources(task, ecs._get_docker())
            return
        time.sleep(0.1)


def clean_up(original: Callable) -> Callable:
    """Removes a stopped task's containers in the background, after its targets are drained."""

    def clean(task: dict, docker_client: object, extra_container: object = None) -> None:
        address = ecs._task_ip(task)
        groups = _groups(task)
        if not address or not groups or not task.get("_docker_ids"):
            original(task, docker_client, extra_container)
            return
        account, region = get_account_id(), get_region()

        def work() -> None:
            with request_scope(account, region):
                targets.drained(address, max(targets.draining_seconds(group) for group, _ in groups))
                original(task, docker_client, extra_container)

        spawn_background(work, thread_name="ecs-drain")

    return clean


def reconcile(original: Callable) -> Callable:
    """Removes the tasks of a failed deployment without rollback, and keeps those of the previous deployment."""

    def reconcile_tasks(cluster: str, key: str) -> None:
        service = ecs._services.get(key)
        primary = ecs._primary_deployment(service) if service else None
        failed = primary and primary.get("rolloutState") == "FAILED"
        if failed and service["status"] == "ACTIVE" and service.get("desiredCount", 0) > 0:
            for arn, task in list(ecs._tasks.items()):
                if task.get("_deployment_id") == primary["id"] and task.get("lastStatus") in ecs._PRE_STOP_STATUSES:
                    ecs._stop_task({"task": arn, "cluster": cluster, "reason": "Deployment failed"})
            ecs._refresh_service_state(cluster, f"service:{service['serviceName']}")
            ecs._recount_cluster(cluster)
            return
        original(cluster, key)

    return reconcile_tasks


def complete(original: Callable) -> Callable:
    """Removes older deployments without running tasks, including failed ones, when a rollout completes."""

    def complete_deployment(cluster: str, key: str, expected_deployment_id: str | None = None) -> None:
        original(cluster, key, expected_deployment_id)
        service = ecs._services.get(key)
        primary = ecs._primary_deployment(service) if service else None
        if not primary or primary.get("rolloutState") != "COMPLETED":
            return
        live = {
            task.get("_deployment_id")
            for task in ecs._tasks.values()
            if task.get("lastStatus") in ecs._PRE_STOP_STATUSES
        }
        service["deployments"] = [one for one in service["deployments"] if one is primary or one["id"] in live]

    return complete_deployment


def apply() -> None:
    """Replaces MiniStack's functions with those above."""
    os.environ["HOSTNAME"] = ""  # MiniStack would share the network of a container with that name
    ecs._start_task_worker = start_worker(ecs._start_task_worker)
    ecs._register_metadata = register_metadata(ecs._register_metadata)
    ecs._make_deployment = make_deployment(ecs._make_deployment)
    ecs._schedule_service_deployment_completion = schedule(ecs._schedule_service_deployment_completion)
    ecs._cleanup_task_resources = clean_up(ecs._cleanup_task_resources)
    ecs._reconcile_service_tasks = reconcile(ecs._reconcile_service_tasks)
    ecs._complete_service_deployment = complete(ecs._complete_service_deployment)
