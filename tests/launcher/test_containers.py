"""ECS, ECR and load balancers, with a Docker engine where one answers."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from conftest import Emulator, free_port, mend
from docker.errors import DockerException
from machines import unique

SERVER = r"""
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    if (getenv("CRASH")) return 3;
    if (getenv("DELAY")) sleep(atoi(getenv("DELAY")));
    signal(SIGCHLD, SIG_IGN);
    int one = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8080)};
    bind(server, (struct sockaddr *)&address, sizeof address);
    listen(server, 64);
    for (;;) {
        int client = accept(server, 0, 0);
        if (fork()) { close(client); continue; }
        char request[4096] = {0}, body[512], reply[1024];
        if (read(client, request, sizeof request - 1) < 0) return 1;
        if (strstr(request, "GET /slow")) sleep(2);
        int sick = getenv("SICK") && strstr(request, "GET /health");
        snprintf(body, sizeof body, "%s %s", getenv("VERSION"), getenv("AWS_ENDPOINT_URL"));
        int size = snprintf(reply, sizeof reply, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                            sick ? "500 Sick" : "200 OK", strlen(body), body);
        return write(client, reply, size) != size;
    }
}
"""


def engine() -> docker.DockerClient | None:
    """A client of the Docker engine, or None when none answers."""
    try:
        client = docker.from_env()
        client.ping()
    except DockerException:
        return None
    return client


@dataclass
class Shop:
    """A service behind a load balancer."""

    emulator: Emulator
    image: str
    url: str
    group: str
    name: str

    def define(self, **environment: str) -> str:
        """Registers a task definition and gives its ARN."""
        container = {
            "name": "shop",
            "image": self.image,
            "portMappings": [{"containerPort": 8080}],
            "environment": [{"name": key, "value": value} for key, value in environment.items()],
        }
        reply = self.emulator.client("ecs").register_task_definition(
            family=self.name, networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
            containerDefinitions=[container])
        return reply["taskDefinition"]["taskDefinitionArn"]

    def roll(self, **environment: str) -> str:
        """Deploys a new task definition and gives the rollout's end."""
        client = self.emulator.client("ecs")
        service = client.update_service(
            cluster=self.name, service=self.name, taskDefinition=self.define(**environment), desiredCount=2)["service"]
        assert service["deployments"][0]["rolloutState"] == "IN_PROGRESS"

        def state() -> str | None:
            found = client.describe_services(cluster=self.name, services=[self.name])["services"][0]
            state = found["deployments"][0]["rolloutState"]
            return state if state != "IN_PROGRESS" else None

        return self.emulator.wait(state, "the rollout's end", 60)

    def get(self, path: str = "/version") -> str:
        """What the load balancer answers."""
        with urllib.request.urlopen(self.url + path, timeout=20) as reply:
            return reply.read().decode()


def build(directory: Path) -> None:
    """Builds the server as a static binary with an image around it."""
    (directory / "server.c").write_text(SERVER)
    (directory / "Dockerfile").write_text('FROM scratch\nCOPY server /server\nENTRYPOINT ["/server"]\n')
    subprocess.run(["cc", "-static", "-O1", "-o", "server", "server.c"], cwd=directory, check=True)


def make(emulator: Emulator, context: Path) -> Shop:
    """Builds and pushes the image, and creates the service with no task."""
    name = unique("shop")
    repository = emulator.client("ecr").create_repository(repositoryName=name)["repository"]["repositoryUri"]
    client = docker.from_env()
    client.images.build(path=str(context), tag=f"{repository}:v1", rm=True, forcerm=True)
    client.images.push(repository, tag="v1")
    client.images.remove(f"{repository}:v1")
    [image] = emulator.client("ecr").describe_images(repositoryName=name)["imageDetails"]

    balancers = emulator.client("elbv2")
    balancer = balancers.create_load_balancer(Name=name, Subnets=["subnet-1"])["LoadBalancers"][0]
    group = balancers.create_target_group(
        Name=name, Protocol="HTTP", Port=8080, VpcId="vpc-1", TargetType="ip", HealthCheckPath="/health",
        HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2, UnhealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    forward = {"Type": "forward", "TargetGroupArn": group}
    balancers.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=[forward])
    shop = Shop(emulator, f"{repository}@{image['imageDigest']}", f"http://{balancer['DNSName']}", group, name)
    emulator.client("ecs").create_cluster(clusterName=name)
    emulator.client("ecs").create_service(
        cluster=name, serviceName=name, taskDefinition=shop.define(VERSION="zero"), desiredCount=0,
        launchType="FARGATE", networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
        loadBalancers=[{"targetGroupArn": group, "containerName": "shop", "containerPort": 8080}],
        deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": False}})
    return shop


@pytest.fixture(scope="session")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build context with the server; skips without an engine or a C compiler."""
    if engine() is None:
        pytest.skip("no Docker engine answers")
    if shutil.which("cc") is None:
        pytest.skip("no C compiler for the server")
    directory = tmp_path_factory.mktemp("image")
    build(directory)
    return directory


@pytest.fixture(scope="module")
def shop(mended: Emulator, context: Path) -> Iterator[Shop]:
    """A service that has its first version."""
    shop = make(mended, context)
    assert shop.roll(VERSION="one") == "COMPLETED"
    yield shop
    mended.client("ecs").delete_service(cluster=shop.name, service=shop.name, force=True)


def test_a_service_answers_at_its_load_balancer(shop: Shop) -> None:
    version, endpoint = shop.get().split()
    assert version in ("one", "two")
    assert endpoint.endswith(f":{shop.emulator.port}")
    health = shop.emulator.client("elbv2").describe_target_health(TargetGroupArn=shop.group)
    assert [one["TargetHealth"]["State"] for one in health["TargetHealthDescriptions"]] == ["healthy"] * 2


def test_a_rollout_loses_no_request(shop: Shop) -> None:
    done, answers = threading.Event(), []

    def load(path: str) -> None:
        while not done.is_set():
            try:
                answers.append(shop.get(path).split()[0])
            except (OSError, urllib.error.URLError) as lost:
                answers.append(f"lost: {lost}")

    threads = [threading.Thread(target=load, args=(path,)) for path in ("/version", "/version", "/slow", "/slow")]
    for thread in threads:
        thread.start()
    try:
        assert shop.roll(VERSION="two", DELAY="1") == "COMPLETED"
        time.sleep(3)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert set(answers[:4]) <= {"one", "two"}
    assert {answer for answer in answers if answer.startswith("lost")} == set()
    assert answers[-1] == "two"
    assert len(answers) > 100


@pytest.mark.parametrize("defect", ["CRASH", "SICK"])
def test_a_version_that_does_not_start_fails_and_the_old_one_stays(shop: Shop, defect: str) -> None:
    before = shop.get()
    assert shop.roll(VERSION="broken", **{defect: "1"}) == "FAILED"
    assert shop.get() == before
    shop.emulator.wait(lambda: len(running(shop)) == 2, "two running tasks")
    assert shop.roll(VERSION=before.split()[0]) == "COMPLETED"
    found = shop.emulator.client("ecs").describe_services(cluster=shop.name, services=[shop.name])["services"][0]
    assert [one["status"] for one in found["deployments"]] == ["PRIMARY"]


def running(shop: Shop) -> list[str]:
    """The running tasks of the service."""
    return shop.emulator.client("ecs").list_tasks(cluster=shop.name, desiredStatus="RUNNING")["taskArns"]


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_an_instance_removes_its_containers_and_leaves_those_of_others(
    shop: Shop, context: Path, tmp_path: Path, end: str
) -> None:
    client = docker.from_env()

    def containers(emulator: Emulator) -> int:
        label = f"sluicegate.instance={emulator.instance}"
        return len(client.containers.list(all=True, sparse=True, filters={"label": label}))

    other = Emulator(True, tmp_path, None, free_port())
    other.start()
    try:
        assert make(other, context).roll(VERSION="other") == "COMPLETED"
        assert containers(other) == 2
        if end == "killed":
            other.process.kill()
            other.wait(lambda: containers(other) == 0, "the containers to be removed")
    finally:
        other.stop()
    assert containers(other) == 0
    assert containers(shop.emulator) >= 2
    assert shop.get()

    def images() -> list[str]:
        # The plain list: `images.list()` fails when another suite removes an image meanwhile.
        found = client.api.images()
        names = [name for image in found for name in (image["RepoTags"] or []) + (image["RepoDigests"] or [])]
        return [name for name in names if f":{other.port}/" in name]

    shop.emulator.wait(lambda: not images(), "the images to be removed")


@mend("balancer-address")
def test_a_load_balancer_answers_at_its_name(emulator: Emulator) -> None:
    client, name = emulator.client("elbv2"), unique("lb")
    balancer = client.create_load_balancer(Name=name, Subnets=["subnet-1"])["LoadBalancers"][0]
    answer = {"Type": "fixed-response", "FixedResponseConfig": {
        "StatusCode": "200", "ContentType": "text/plain", "MessageBody": "here"}}
    client.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=[answer])
    described = client.describe_load_balancers(Names=[name])["LoadBalancers"][0]
    assert described["DNSName"] == balancer["DNSName"]
    try:
        with urllib.request.urlopen(f"http://{balancer['DNSName']}/any?a=b", timeout=5) as reply:
            assert reply.read() == b"here"
    except OSError as unreachable:
        raise AssertionError(str(unreachable)) from unreachable
    client.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])

    def closed() -> bool:
        try:
            urllib.request.urlopen(f"http://{balancer['DNSName']}/", timeout=5).close()
        except OSError:
            return True
        return False

    emulator.wait(closed, "the port to be closed")


@mend("target-health")
def test_a_target_that_does_not_answer_is_not_healthy(emulator: Emulator) -> None:
    client, name = emulator.client("elbv2"), unique("tg")
    group = client.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId="vpc-1", TargetType="ip")
    arn, port = group["TargetGroups"][0]["TargetGroupArn"], free_port()
    client.register_targets(TargetGroupArn=arn, Targets=[{"Id": "127.0.0.1", "Port": port}])

    def unhealthy() -> bool:
        health = client.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return [one["TargetHealth"]["State"] for one in health] == ["unhealthy"]

    emulator.wait(unhealthy, "the target to be unhealthy", 15 if emulator.mended else 3)


@mend("registry-address")
def test_a_repository_is_where_its_address_says(emulator: Emulator) -> None:
    client, name = emulator.client("ecr"), unique("repo")
    repository = client.create_repository(repositoryName=name)["repository"]["repositoryUri"]
    assert repository == f"127.0.0.1:{emulator.port}/{name}"
    [data] = client.get_authorization_token()["authorizationData"]
    assert data["proxyEndpoint"] == emulator.url
