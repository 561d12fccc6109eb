"""A service behind a load balancer, and the server in its image."""

from __future__ import annotations

import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import docker
from conftest import ENGINE, Emulator
from docker.errors import APIError, DockerException
from machines import unique

SERVER = r"""
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

extern char **environ;

/* The status with which the emulator answers at the address that the environment gives; 0 when it does not answer. */
static int reach(void) {
    char host[256] = "", address[64], name[256], line[512], answer[64] = {0};
    int port = 80, status = 0, emulator = socket(AF_INET, SOCK_STREAM, 0);
    sscanf(getenv("AWS_ENDPOINT_URL"), "http://%255[^:]:%d", host, &port);
    FILE *hosts = fopen("/etc/hosts", "r"); /* a static binary from scratch has no other resolver */
    while (hosts && fgets(line, sizeof line, hosts))
        if (sscanf(line, "%63s %255s", address, name) == 2 && !strcmp(name, host)) strcpy(host, address);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = 5};
    setsockopt(emulator, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(emulator, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1 || connect(emulator, (struct sockaddr *)&to, sizeof to)) return 0;
    dprintf(emulator, "GET /_ministack/health HTTP/1.1\r\nHost: %s:%d\r\nConnection: close\r\n\r\n", host, port);
    if (read(emulator, answer, sizeof answer - 1) > 0) sscanf(answer, "HTTP/%*s %d", &status);
    return status;
}

static void leave(int number) { _exit(number != SIGTERM); }

int main(void) {
    if (getenv("CRASH")) return 3;
    if (getenv("DELAY")) sleep(atoi(getenv("DELAY")));
    signal(SIGCHLD, SIG_IGN);
    signal(SIGTERM, leave); /* at once, with the requests under way: the first process has no default for it */
    int one = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8080)};
    bind(server, (struct sockaddr *)&address, sizeof address);
    listen(server, 64);
    for (;;) {
        int client = accept(server, 0, 0);
        if (fork()) { close(client); continue; }
        char request[4096] = {0}, body[8192] = "", reply[9000];
        if (read(client, request, sizeof request - 1) < 0) return 1;
        if (strstr(request, "GET /slow")) sleep(2);
        int sick = getenv("SICK") && strstr(request, "GET /health"), at = 0;
        if (strstr(request, "GET /reach")) snprintf(body, sizeof body, "%d", reach());
        else if (strstr(request, "GET /environment"))
            for (char **entry = environ; *entry && at < (int)sizeof body; entry++)
                at += snprintf(body + at, sizeof body - at, "%s\n", *entry);
        else snprintf(body, sizeof body, "%s", getenv("VERSION"));
        int size = snprintf(reply, sizeof reply, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                            sick ? "500 Sick" : "200 OK", strlen(body), body);
        return write(client, reply, size) != size;
    }
}
"""


def engine() -> docker.DockerClient | None:
    """Returns a client of the Docker engine, or None if no engine answers."""
    try:
        client = docker.DockerClient(base_url=ENGINE)
        client.ping()
    except DockerException:
        return None
    return client


@dataclass
class Shop:
    """A service behind a load balancer."""

    emulator: Emulator
    image: str
    address: str
    group: str
    name: str

    def define(self, **environment: str) -> str:
        """Registers a task definition and returns its ARN."""
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
        """Deploys a new task definition and returns the end of the rollout."""
        client = self.emulator.client("ecs")
        service = client.update_service(
            cluster=self.name, service=self.name, taskDefinition=self.define(**environment), desiredCount=2)["service"]
        assert service["deployments"][0]["rolloutState"] == "IN_PROGRESS"

        def state() -> str | None:
            state = self.deployments()[0]["rolloutState"]
            return state if state != "IN_PROGRESS" else None

        return self.emulator.wait(state, "the rollout's end", 60)

    def deployments(self) -> list[dict]:
        """Returns the deployments of the service."""
        found = self.emulator.client("ecs").describe_services(cluster=self.name, services=[self.name])
        return found["services"][0]["deployments"]

    def running(self) -> list[str]:
        """Returns the running tasks of the service."""
        return self.emulator.client("ecs").list_tasks(cluster=self.name, desiredStatus="RUNNING")["taskArns"]

    def get(self, path: str = "/version") -> str:
        """Returns the load balancer's response. Without the patches, its name does not resolve and is sent as `Host`."""
        url = f"http://{self.address}" if self.emulator.patched else self.emulator.url
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url + path, headers={"Host": self.address}), timeout=20
            ) as reply:
                return reply.read().decode()
        except OSError as lost:
            raise AssertionError(f"{path} is not answered: {lost}") from lost

    def answers(self, version: str) -> bool:
        """Returns whether a version responds."""
        try:
            return self.get() == version
        except AssertionError:
            return False

    def containers(self) -> list:
        """Returns the containers of the service's tasks."""
        label = f"com.amazonaws.ecs.task-definition-family={self.name}"
        return engine().containers.list(all=True, sparse=True, filters={"label": label})


def images(emulator: Emulator) -> list[str]:
    """Returns the engine's names of images from an emulator's registry."""
    # Not `images.list()`: it fails when another suite removes an image concurrently.
    found = engine().api.images()
    names = [name for image in found for name in (image["RepoTags"] or []) + (image["RepoDigests"] or [])]
    return [name for name in names if f":{emulator.port}/" in name]


def sweep(shop: Shop) -> None:
    """Removes what an unpatched emulator leaves of a service."""
    for container in shop.containers():
        try:
            container.remove(v=True, force=True)
        except APIError:
            continue
    for name in images(shop.emulator):
        try:
            engine().images.remove(name)
        except APIError:
            continue


def build(directory: Path) -> None:
    """Builds the server as a static binary, and an image with it."""
    (directory / "server.c").write_text(SERVER)
    (directory / "Dockerfile").write_text('FROM scratch\nCOPY server /server\nENTRYPOINT ["/server"]\n')
    subprocess.run(["cc", "-static", "-O1", "-o", "server", "server.c"], cwd=directory, check=True)


def make(emulator: Emulator, context: Path) -> Shop:
    """Builds and pushes the image, and creates the service without tasks."""
    name = unique("shop")
    emulator.client("ecr").create_repository(repositoryName=name)
    repository = f"127.0.0.1:{emulator.port}/{name}"
    client = engine()
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
    shop = Shop(emulator, f"{repository}@{image['imageDigest']}", balancer["DNSName"], group, name)
    emulator.client("ecs").create_cluster(clusterName=name)
    emulator.client("ecs").create_service(
        cluster=name, serviceName=name, taskDefinition=shop.define(VERSION="zero"), desiredCount=0,
        launchType="FARGATE", networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
        loadBalancers=[{"targetGroupArn": group, "containerName": "shop", "containerPort": 8080}],
        deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": False}})
    return shop
