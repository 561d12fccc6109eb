"""Read after write: a second `terraform apply` has no changes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from conftest import ACCOUNT, REGION, Emulator, patch
from machines import ROLE, function, unique


def query(emulator: Emulator, **fields: object) -> str:
    """Calls CloudWatch with the query protocol, as Terraform's AWS provider does."""
    scope = f"Credential=test/20260101/{REGION}/monitoring/aws4_request, SignedHeaders=host, Signature=0"
    request = urllib.request.Request(
        emulator.url,
        data=urllib.parse.urlencode({"Version": "2010-08-01", **fields}).encode(),
        headers={
            "Authorization": f"AWS4-HMAC-SHA256 {scope}",
            "Content-Type": "application/x-www-form-urlencoded",
        },
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        return reply.read().decode()


@patch("alarm-fields")
def test_an_alarm_is_read_as_it_was_written(emulator: Emulator) -> None:
    name = unique("alarm")
    fields = {
        "AlarmName": name, "AlarmDescription": "a < b", "Namespace": "N", "MetricName": "M", "Statistic": "Sum",
        "Period": 60, "EvaluationPeriods": 1, "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching", "AlarmActions.member.1": "arn:aws:sns:eu-west-1:000000000000:t",
        "Dimensions.member.1.Name": "D", "Dimensions.member.1.Value": "v",
    }
    query(emulator, Action="PutMetricAlarm", **fields)
    reply = query(emulator, Action="DescribeAlarms", **{"AlarmNames.member.1": name})
    for part in (
        "<ActionsEnabled>true</ActionsEnabled>", "<Period>60</Period>", "<Statistic>Sum</Statistic>",
        "<AlarmDescription>a &lt; b</AlarmDescription>", "<TreatMissingData>notBreaching</TreatMissingData>",
        "<AlarmActions><member>arn:aws:sns:eu-west-1:000000000000:t</member></AlarmActions>",
        "<Dimensions><member><Name>D</Name><Value>v</Value></member></Dimensions>",
    ):
        assert part in reply


@patch("alarm-fields")
def test_an_alarm_on_an_expression_keeps_its_metrics(emulator: Emulator) -> None:
    name = unique("alarm")
    query(emulator, Action="PutMetricAlarm", **{
        "AlarmName": name, "EvaluationPeriods": 1, "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold",
        "Metrics.member.1.Id": "e", "Metrics.member.1.Expression": "a*2", "Metrics.member.1.ReturnData": "true",
        "Metrics.member.2.Id": "a", "Metrics.member.2.ReturnData": "false", "Metrics.member.2.MetricStat.Period": 60,
        "Metrics.member.2.MetricStat.Stat": "Sum", "Metrics.member.2.MetricStat.Metric.Namespace": "N",
        "Metrics.member.2.MetricStat.Metric.MetricName": "M"})
    reply = query(emulator, Action="DescribeAlarms", **{"AlarmNames.member.1": name})
    assert "<Expression>a*2</Expression>" in reply
    assert "<Namespace>N</Namespace>" in reply
    assert "<Statistic>" not in reply


@patch("machine-tracing")
def test_a_state_machine_keeps_its_tracing(emulator: Emulator) -> None:
    client = emulator.client("stepfunctions")
    definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
    arn = client.create_state_machine(
        name=unique("m"), roleArn=ROLE, definition=definition, tracingConfiguration={"enabled": True})["stateMachineArn"]
    assert client.describe_state_machine(stateMachineArn=arn).get("tracingConfiguration") == {"enabled": True}
    client.update_state_machine(stateMachineArn=arn, definition=definition)
    assert client.describe_state_machine(stateMachineArn=arn).get("tracingConfiguration") == {"enabled": True}


@patch("service-rebalancing")
def test_a_service_keeps_its_rebalancing(emulator: Emulator) -> None:
    client, name = emulator.client("ecs"), unique("s")
    client.create_cluster(clusterName=name)
    client.register_task_definition(family=name, containerDefinitions=[{"name": "a", "image": "a:1"}])
    client.create_service(cluster=name, serviceName=name, taskDefinition=name, desiredCount=0)
    found = client.describe_services(cluster=name, services=[name])["services"][0]
    assert found.get("availabilityZoneRebalancing") == "DISABLED"


@patch("service-network")
def test_a_service_without_a_network_configuration_has_none(emulator: Emulator) -> None:
    client, name = emulator.client("ecs"), unique("s")
    client.create_cluster(clusterName=name)
    client.register_task_definition(family=name, containerDefinitions=[{"name": "a", "image": "a:1"}])
    client.create_service(cluster=name, serviceName=name, taskDefinition=name, desiredCount=0)
    assert "networkConfiguration" not in client.describe_services(cluster=name, services=[name])["services"][0]


@patch("invoke-config")
def test_an_invoke_config_has_no_more_than_was_given(emulator: Emulator) -> None:
    name, client = function(emulator), emulator.client("lambda")
    client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=1)
    found = client.get_function_event_invoke_config(FunctionName=name)
    assert found["MaximumRetryAttempts"] == 1
    assert "MaximumEventAgeInSeconds" not in found


@patch("bus-policy")
def test_a_bus_keeps_its_policy(emulator: Emulator) -> None:
    client, name = emulator.client("events"), unique("bus")
    client.create_event_bus(Name=name)
    policy = {"Version": "2012-10-17", "Statement": [{
        "Sid": "a", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "events:PutEvents", "Resource": f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{name}"}]}
    client.put_permission(EventBusName=name, Policy=json.dumps(policy))
    assert json.loads(client.describe_event_bus(Name=name)["Policy"]) == policy


@patch("egress-tags")
def test_an_egress_rule_that_a_group_has_from_the_start_takes_tags(emulator: Emulator) -> None:
    client = emulator.client("ec2")
    vpc = client.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    group = client.create_security_group(GroupName=unique(), Description="d", VpcId=vpc)["GroupId"]
    client.authorize_security_group_egress(
        GroupId=group,
        IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
        TagSpecifications=[{"ResourceType": "security-group-rule", "Tags": [{"Key": "k", "Value": "v"}]}])
    rules = client.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    assert [rule.get("Tags") for rule in rules if rule["IsEgress"]] == [[{"Key": "k", "Value": "v"}]]


@patch("flow-log-fields")
def test_a_flow_log_is_read_as_it_was_written(emulator: Emulator) -> None:
    client = emulator.client("ec2")
    vpc = client.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    made = client.create_flow_logs(
        ResourceIds=[vpc], ResourceType="VPC", TrafficType="ALL", DeliverLogsPermissionArn=ROLE, LogGroupName="flow",
        TagSpecifications=[{"ResourceType": "vpc-flow-log", "Tags": [{"Key": "k", "Value": "v"}]}])["FlowLogIds"]
    found = client.describe_flow_logs(FlowLogIds=made)["FlowLogs"][0]
    assert found.get("DeliverLogsPermissionArn") == ROLE
    assert found.get("MaxAggregationInterval") == 600
    assert found.get("Tags") == [{"Key": "k", "Value": "v"}]


@patch("upload-tags")
def test_an_object_uploaded_in_parts_keeps_its_tags(emulator: Emulator) -> None:
    client, bucket = emulator.client("s3"), unique("b")
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def upload(**given: str) -> list[dict]:
        started = client.create_multipart_upload(Bucket=bucket, Key="k", **given)["UploadId"]
        part = client.upload_part(Bucket=bucket, Key="k", UploadId=started, PartNumber=1, Body=b"x")["ETag"]
        client.complete_multipart_upload(
            Bucket=bucket, Key="k", UploadId=started, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})
        return client.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]

    assert upload(Tagging="k=v%20w&empty=") == [{"Key": "k", "Value": "v w"}, {"Key": "empty", "Value": ""}]
    assert upload() == []


ROOT = Path(__file__).resolve().parents[2]


def mirror() -> str:
    """Returns the directory of the provider mirror, or an empty string if there is none."""
    # Run in the project's root, because the searched paths may be relative to it.
    finder = subprocess.run(
        [ROOT / "scripts" / "provider-mirror.sh"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=30)
    found = finder.stdout.rstrip("\n")
    return found and str(ROOT / found)


def test_a_second_apply_changes_nothing(patched: Emulator, tmp_path: Path) -> None:
    directory = mirror()
    if shutil.which("terraform") is None or not directory:
        pytest.skip("no terraform, or no mirror of the AWS provider")
    shutil.copy(Path(__file__).with_name("readback.tf"), tmp_path / "main.tf")
    (tmp_path / "cli.tfrc").write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{directory}"\n  }}\n}}\n')
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "TF_CLI_CONFIG_FILE": str(tmp_path / "cli.tfrc"),
        "AWS_ENDPOINT_URL": patched.url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "TF_VAR_name": unique("tf"), "TF_IN_AUTOMATION": "1",
    }

    def terraform(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["terraform", *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=150)

    for arguments in (["init"], ["apply", "-auto-approve"], ["plan", "-detailed-exitcode"], ["destroy", "-auto-approve"]):
        done = terraform(arguments[0], "-input=false", "-no-color", *arguments[1:])
        assert done.returncode == 0, done.stdout + done.stderr
