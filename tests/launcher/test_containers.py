"""ECS, ECR and load balancers, with a Docker engine if one answers."""

from __future__ import annotations

import shutil
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import botocore.session
import pytest
from botocore.exceptions import BotoCoreError
from conftest import REGION, Emulator, free_port, patch
from machines import unique
from shop import Shop, build, engine, images, make, sweep


@pytest.fixture(scope="session")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a build context with the server. Skips without an engine or a C compiler."""
    if engine() is None:
        pytest.skip("no Docker engine answers")
    if shutil.which("cc") is None:
        pytest.skip("no C compiler for the server")
    directory = tmp_path_factory.mktemp("image")
    build(directory)
    return directory


@pytest.fixture(scope="module")
def shops(context: Path) -> Iterator[Callable[[Emulator], Shop]]:
    """Returns the service of an emulator. Each emulator has one service for all tests."""
    made: dict[int, Shop] = {}

    def of(emulator: Emulator) -> Shop:
        if emulator.port not in made:
            made[emulator.port] = make(emulator, context)
        return made[emulator.port]

    yield of
    for shop in made.values():
        shop.emulator.client("ecs").delete_service(cluster=shop.name, service=shop.name, force=True)
        if not shop.emulator.patched:
            sweep(shop)


@pytest.fixture
def shop(emulator: Emulator, shops: Callable[[Emulator], Shop]) -> Shop:
    """Returns the service with a responding version. The unpatched MiniStack supports this too."""
    shop = shops(emulator)
    if shop.deployments()[0]["rolloutState"] != "COMPLETED" or not shop.answers("one"):
        assert shop.roll(VERSION="one") == "COMPLETED"
    emulator.wait(lambda: len(shop.running()) == 2 and shop.answers("one"), "two tasks that answer", 30)
    return shop


@pytest.fixture
def other(emulator: Emulator, context: Path, tmp_path: Path) -> Iterator[Shop]:
    """Returns the service of another emulator of the same kind."""
    other = Emulator(emulator.patched, tmp_path, None, free_port(), environment=emulator.environment)
    other.start()
    try:
        shop = make(other, context)
        assert shop.roll(VERSION="other") == "COMPLETED"
        yield shop
    finally:
        other.stop()
        if not other.patched:
            sweep(shop)


patched_only = pytest.mark.parametrize("emulator", ["patched"], indirect=True)


@patched_only
def test_a_service_answers_at_its_load_balancer(shop: Shop) -> None:
    assert shop.get() == "one"
    health = shop.emulator.client("elbv2").describe_target_health(TargetGroupArn=shop.group)
    assert [one["TargetHealth"]["State"] for one in health["TargetHealthDescriptions"]] == ["healthy"] * 2


@patch("reach", engine=True)
def test_a_task_reaches_the_emulator(emulator: Emulator, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = dict(line.split("=", 1) for line in shop.get("/environment").splitlines())
    assert environment["AWS_ENDPOINT_URL"].endswith(f":{emulator.port}")
    assert shop.get("/reach") == "200"

    for name, value in {
        **{name: value for name, value in environment.items() if name.startswith("AWS_")},
        "AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere", "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    session = botocore.session.Session()
    try:
        credentials = session.get_credentials()
    except (BotoCoreError, ValueError) as refused:
        raise AssertionError(f"an SDK refuses the credentials: {refused}") from refused
    assert credentials
    assert session.get_config_variable("region") == REGION


@patch("rollouts", engine=True)
def test_a_rollout_loses_no_request(emulator: Emulator, shop: Shop) -> None:
    done, answers = threading.Event(), []

    def load(path: str) -> None:
        while not done.is_set():
            try:
                answers.append(shop.get(path))
            except AssertionError as lost:
                answers.append(f"lost: {lost}")

    threads = [threading.Thread(target=load, args=(path,)) for path in ["/version"] * 2 + ["/slow"] * 6]
    for thread in threads:
        thread.start()
        time.sleep(0.3)  # so that some requests are always in progress
    try:
        assert shop.roll(VERSION="two", DELAY="1") == "COMPLETED"
        time.sleep(3)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert {answer for answer in answers if answer.startswith("lost")} == set()
    assert answers[0] == "one"
    assert answers[-1] == "two"
    assert len(answers) > 100


def stays(shop: Shop, before: list[str]) -> None:
    """Asserts that after a failed rollout exactly the previous tasks run and respond."""
    time.sleep(2)
    shop.emulator.wait(lambda: sorted(shop.running()) == sorted(before), "only the old tasks to run")
    assert shop.get() == "one"


@patch("rollouts", engine=True)
def test_a_version_that_is_not_healthy_fails_and_the_old_one_stays(emulator: Emulator, shop: Shop) -> None:
    before = shop.running()
    assert shop.roll(VERSION="broken", SICK="1") == "FAILED"
    stays(shop, before)


@patch("failed rollouts", engine=True)
def test_a_version_that_does_not_start_fails_and_the_old_one_stays(emulator: Emulator, shop: Shop) -> None:
    before = shop.running()
    assert shop.roll(VERSION="broken", CRASH="1") == "FAILED"
    stays(shop, before)


@patch("failed rollouts", engine=True)
def test_the_next_completed_rollout_clears_the_list_of_failed_ones(emulator: Emulator, shop: Shop) -> None:
    assert shop.roll(VERSION="broken", CRASH="1") == "FAILED"
    assert shop.roll(VERSION="two") == "COMPLETED"
    emulator.wait(lambda: [one["status"] for one in shop.deployments()] == ["PRIMARY"], "the others to be gone")


@patched_only
def test_containers_have_the_label_of_their_instance(emulator: Emulator, shop: Shop) -> None:
    assert {one.attrs["Labels"].get("sluicegate.instance") for one in shop.containers()} == {emulator.instance}


@pytest.mark.parametrize("end", ["stopped", "killed"])
@patch("labels", engine=True)
def test_an_instance_removes_its_containers_and_leaves_those_of_others(
    emulator: Emulator, shop: Shop, other: Shop, end: str
) -> None:
    if end == "killed":
        other.emulator.process.kill()
        emulator.wait(lambda: not other.containers(), "the containers to be removed")
    else:
        other.emulator.stop()
        assert not other.containers()
    emulator.wait(lambda: not images(other.emulator), "the images to be removed")
    assert len(shop.containers()) >= 2
    assert shop.get() == "one"


@patch("balancer-address")
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


@patch("target-health")
def test_a_target_that_does_not_answer_is_not_healthy(emulator: Emulator) -> None:
    client, name = emulator.client("elbv2"), unique("tg")
    group = client.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId="vpc-1", TargetType="ip")
    arn, port = group["TargetGroups"][0]["TargetGroupArn"], free_port()
    client.register_targets(TargetGroupArn=arn, Targets=[{"Id": "127.0.0.1", "Port": port}])

    def unhealthy() -> bool:
        health = client.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return [one["TargetHealth"]["State"] for one in health] == ["unhealthy"]

    emulator.wait(unhealthy, "the target to be unhealthy", 15 if emulator.patched else 3)


@patch("registry-address")
def test_a_repository_is_where_its_address_says(emulator: Emulator) -> None:
    client, name = emulator.client("ecr"), unique("repo")
    repository = client.create_repository(repositoryName=name)["repository"]["repositoryUri"]
    assert repository == f"127.0.0.1:{emulator.port}/{name}"
    [data] = client.get_authorization_token()["authorizationData"]
    assert data["proxyEndpoint"] == emulator.url
