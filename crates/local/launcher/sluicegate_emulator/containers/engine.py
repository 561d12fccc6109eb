"""The Docker engine: used for ECS tasks only, and left as it was found."""

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
"""The label of every container of an instance; its value is `SLUICEGATE_INSTANCE`."""

_state: dict = {"client": None, "gateway": None, "closing": False}


class Closing(RuntimeError):
    """The emulator is ending: no container may be started any more."""


def connect() -> None:
    """Looks for an engine; call before MiniStack does, which is then told that there is none.

    MiniStack would use it for databases, caches and more, pulling images from the internet; here only ECS gets it.
    """
    try:
        import docker

        client = docker.from_env(timeout=60)
        client.ping()
    except Exception as err:  # noqa: BLE001: no engine, whatever the reason
        logger.info("no Docker engine: ECS deployments complete at once, no container runs (%s)", err)
        client = None
    os.environ["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    _state["client"] = client
    if client is not None:
        _state["gateway"] = _local_gateway(client)


def client():  # noqa: ANN201: docker is imported late
    """The engine's client, or None. Raises `Closing` at the emulator's end."""
    if _state["closing"]:
        raise Closing("the emulator is ending")
    return _state["client"]


def gateway() -> str | None:
    """The address under which containers on the default bridge see this machine, if this process can listen there."""
    return _state["gateway"]


def _local_gateway(docker_client) -> str | None:  # noqa: ANN001
    """The default bridge's gateway address, when it is one of this machine's."""
    try:
        [config, *_] = docker_client.networks.get("bridge").attrs["IPAM"]["Config"]
        address = config.get("Gateway") or str(next(ipaddress.ip_network(config["Subnet"]).hosts()))
        with socket.socket() as probe:
            probe.bind((address, 0))
    except Exception as err:  # noqa: BLE001: an engine in a virtual machine, or without a bridge
        logger.warning("containers cannot reach the emulator: the engine's bridge is not on this machine (%s)", err)
        return None
    return address


def instance() -> str:
    """The name of this instance."""
    return os.environ["SLUICEGATE_INSTANCE"]


def remove_all() -> None:
    """Removes this instance's containers, whatever their state, and the images pulled from its registry."""
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
    # The plain list: `images.list()` asks for each image once more, and fails when another instance removes one meanwhile.
    for image in docker_client.api.images():
        for name in (image.get("RepoTags") or []) + (image.get("RepoDigests") or []):
            if name.startswith(registry):
                with contextlib.suppress(Exception):
                    docker_client.images.remove(name)


def close() -> None:
    """Ends the use of the engine: nothing is started any more, and everything of this instance is removed."""
    _state["closing"] = True
    remove_all()


def apply() -> None:
    """Gives ECS this client, and every container the instance's label."""
    ecs._get_docker = client
    original = container_reaper.own_labels
    container_reaper.own_labels = lambda service, **extra: {**original(service, **extra), LABEL: instance()}
