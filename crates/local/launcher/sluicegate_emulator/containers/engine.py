"""The Docker engine: used only for ECS tasks, and cleaned up at the end."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import socket
import time

from ministack.core import container_reaper
from ministack.services import ecs

logger = logging.getLogger("ecs")

LABEL = "sluicegate.instance"
"""The label of every container of an instance. Its value is `SLUICEGATE_INSTANCE`."""

_state: dict = {"client": None, "gateway": None, "closing": False}


class Closing(RuntimeError):
    """Raised when a container is to be started while the emulator shuts down."""


def connect() -> None:
    """Looks for an engine. Must run before MiniStack's own search, which then finds none.

    MiniStack would use the engine for databases, caches and more, and pull images from the internet. Here only ECS uses it.
    """
    try:
        import docker

        client = docker.from_env(timeout=60)
        client.ping()
    except Exception as err:  # noqa: BLE001: any error means that there is no engine
        logger.info("no Docker engine: ECS deployments complete at once, no container runs (%s)", err)
        client = None
    os.environ["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    _state["client"] = client
    if client is not None:
        _state["gateway"] = _local_gateway(client)


def client():  # noqa: ANN201: docker is imported late
    """Returns the engine's client, or None. Raises `Closing` while the emulator shuts down."""
    if _state["closing"]:
        raise Closing("the emulator is ending")
    return _state["client"]


def gateway() -> str | None:
    """Returns this machine's address for containers on the default bridge, if this process can listen on it."""
    return _state["gateway"]


def _local_gateway(docker_client) -> str | None:  # noqa: ANN001
    """Returns the gateway address of the default bridge, if it is an address of this machine."""
    try:
        [config, *_] = docker_client.networks.get("bridge").attrs["IPAM"]["Config"]
        address = config.get("Gateway") or str(next(ipaddress.ip_network(config["Subnet"]).hosts()))
        with socket.socket() as probe:
            probe.bind((address, 0))
    except Exception as err:  # noqa: BLE001: the engine is in a virtual machine or has no bridge
        logger.warning("containers cannot reach the emulator: the engine's bridge is not on this machine (%s)", err)
        return None
    return address


def instance() -> str:
    """Returns the name of this instance."""
    return os.environ["SLUICEGATE_INSTANCE"]


def remove_all() -> None:
    """Removes this instance's containers in any status, and the images pulled from its registry."""
    docker_client = _state["client"]
    if docker_client is None:
        return
    for _ in range(20):
        found = docker_client.containers.list(all=True, sparse=True, filters={"label": f"{LABEL}={instance()}"})
        for container in found:
            with contextlib.suppress(Exception):
                container.remove(v=True, force=True)
        if not found:
            break
        time.sleep(0.1)
    registry = f"127.0.0.1:{os.environ['GATEWAY_PORT']}/"
    # Not `images.list()`: it inspects each image, and fails when another instance removes one concurrently.
    for image in docker_client.api.images():
        for name in (image.get("RepoTags") or []) + (image.get("RepoDigests") or []):
            if name.startswith(registry):
                with contextlib.suppress(Exception):
                    docker_client.images.remove(name)


def close() -> None:
    """Stops the use of the engine and removes everything of this instance."""
    _state["closing"] = True
    remove_all()


def apply() -> None:
    """Gives ECS this client, and labels every container with the instance."""
    ecs._get_docker = client
    original = container_reaper.own_labels
    container_reaper.own_labels = lambda service, **extra: {**original(service, **extra), LABEL: instance()}
