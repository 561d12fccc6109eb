"""Keeps fields that MiniStack drops, so that a second `terraform apply` has no changes."""

from __future__ import annotations

import functools
import json
import urllib.parse
from collections.abc import Callable
from datetime import datetime, timezone
from xml.sax.saxutils import escape

from ministack.services import cloudwatch, ec2, ecs, eventbridge, lambda_svc, s3
from ministack.services import stepfunctions as sfn

# --- CloudWatch alarms: the provider uses the query protocol, which MiniStack supports only in part


@functools.cache
def _model():  # noqa: ANN202: botocore is imported lazily, because its import takes a third of a second
    import botocore.session

    return botocore.session.get_session().get_service_model("cloudwatch")


def _parse(shape, params: dict, prefix: str) -> object:  # noqa: ANN001
    """Parses a value of the query protocol by its model. Returns None when it is absent."""
    if shape.type_name == "structure":
        values = {name: _parse(member, params, f"{prefix}.{name}") for name, member in shape.members.items()}
        return {name: value for name, value in values.items() if value is not None} or None
    if shape.type_name == "list":
        items = []
        while (item := _parse(shape.member, params, f"{prefix}.member.{len(items) + 1}")) is not None:
            items.append(item)
        return items or None
    text = params.get(prefix)
    if text is None:
        return None
    text = text[0] if isinstance(text, list) else text
    kinds = {"boolean": lambda value: value.lower() == "true", "integer": int, "double": float}
    return kinds.get(shape.type_name, str)(text)


def _render(value: object, name: str) -> str:
    """Returns a value in the XML of the query protocol."""
    if value is None:
        return ""
    if isinstance(value, dict):
        text = "".join(_render(item, key) for key, item in value.items())
    elif isinstance(value, list):
        text = "".join(_render(item, "member") for item in value)
    elif isinstance(value, bool):
        text = str(value).lower()
    elif name.endswith("Timestamp"):
        text = datetime.fromtimestamp(value, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    else:
        text = escape(str(value))
    return f"<{name}>{text}</{name}>"


def put_alarm(original: Callable, operation: str) -> Callable:
    """Wraps PutMetricAlarm and PutCompositeAlarm to keep every field of a query request."""

    def put(params: dict, data: dict, is_cbor: bool, is_json: bool = False) -> tuple:
        query = not is_cbor and not is_json
        if query:
            fields = _model().operation_model(operation).input_shape.members
            parsed = {name: _parse(shape, params, name) for name, shape in fields.items()}
            data = {name: value for name, value in parsed.items() if value is not None}
        status, headers, body = original(params, data, is_cbor, is_json or query)
        if status < 400 and operation == "PutMetricAlarm":
            alarm = cloudwatch._alarms[data["AlarmName"]]
            for name in ("Metrics", "ThresholdMetricId", "EvaluateLowSampleCountPercentile"):
                if name in data:
                    alarm[name] = data[name]
            for name in ("Statistic", "Period", "AlarmDescription"):  # MiniStack would add defaults
                if name not in data:
                    alarm.pop(name, None)
        if not query:
            return status, headers, body
        if status >= 400:
            error = json.loads(body)
            return cloudwatch._error(error.get("__type", "ValidationError"), error.get("message", ""), status)
        return cloudwatch._xml(200, f"{operation}Response", "")

    return put


def describe_alarms(original: Callable) -> Callable:
    """Wraps DescribeAlarms to return every field for a query request."""

    def describe(params: dict, data: dict, is_cbor: bool, is_json: bool = False) -> tuple:
        if is_cbor or is_json:
            return original(params, data, is_cbor, is_json)
        fields = _model().operation_model("DescribeAlarms").input_shape.members
        parsed = {name: _parse(shape, params, name) for name, shape in fields.items()}
        parsed = {name: value for name, value in parsed.items() if value is not None}
        status, headers, body = original({}, parsed, False, True)
        if status >= 400:
            return original(params, data, False, False)
        return cloudwatch._xml(200, "DescribeAlarmsResponse", _render(json.loads(body), "DescribeAlarmsResult"))

    return describe


# --- Step Functions, ECS, EC2, Lambda, EventBridge, S3


def keep_tracing(original: Callable[[dict], tuple]) -> Callable[[dict], tuple]:
    """Wraps CreateStateMachine and UpdateStateMachine to keep the tracing configuration."""

    def keep(data: dict) -> tuple:
        reply = original(data)
        arn = data.get("stateMachineArn") or json.loads(reply[2]).get("stateMachineArn")
        machine = sfn._state_machines.get(arn)
        if machine is not None and reply[0] < 400:
            given = data.get("tracingConfiguration", machine.get("tracingConfiguration", {}))
            machine["tracingConfiguration"] = {"enabled": bool(given.get("enabled"))}
        return reply

    return keep


def keep_service_fields(original: Callable[[dict], tuple]) -> Callable[[dict], tuple]:
    """Wraps CreateService and UpdateService to keep `availabilityZoneRebalancing`, and to drop an empty network configuration.

    The provider reads an empty network configuration as one without addresses, and crashes.
    """

    def keep(data: dict) -> tuple:
        status, headers, body = original(data)
        reply = json.loads(body)
        if status < 400 and "service" in reply:
            for service in ecs._services.values():
                if service["serviceArn"] == reply["service"]["serviceArn"]:
                    given = data.get("availabilityZoneRebalancing")
                    service["availabilityZoneRebalancing"] = (
                        given or service.get("availabilityZoneRebalancing") or "DISABLED"
                    )
                    if not service.get("networkConfiguration"):
                        service.pop("networkConfiguration", None)
                    reply["service"] = ecs._sanitize(service)
        return status, headers, json.dumps(reply).encode()

    return keep


def keep_egress_tags(original: Callable[[dict], tuple]) -> Callable[[dict], tuple]:
    """Wraps AuthorizeSecurityGroupEgress to tag a rule that the group has had since its creation."""

    def keep(params: dict) -> tuple:
        reply = original(params)
        tags = ec2._sg_rule_tag_specifications(params)
        group = ec2._p(params, "GroupId")
        if reply[0] < 400 and tags:
            for rule in ec2._parse_ip_permissions(params, "IpPermissions"):
                ec2._tags[ec2._sg_rule_id(group, True, rule)] = list(tags)
        return reply

    return keep


def put_event_invoke_config(original: Callable) -> Callable:
    """Wraps PutFunctionEventInvokeConfig so that it adds no maximum event age."""

    def put(name: str, qualifier: str | None, data: dict) -> tuple:
        status, headers, body = original(name, qualifier, data)
        if status < 400 and "MaximumEventAgeInSeconds" not in data:
            config = lambda_svc._functions[name]["event_invoke_configs"][qualifier or ""]
            config.pop("MaximumEventAgeInSeconds", None)
            body = json.dumps(config).encode()
        return status, headers, body

    return put


def put_permission(original: Callable[[dict], tuple]) -> Callable[[dict], tuple]:
    """Wraps PutPermission to accept a complete policy."""

    def put(data: dict) -> tuple:
        if not data.get("Policy"):
            return original(data)
        eventbridge._event_bus_policies[data.get("EventBusName", "default")] = json.loads(data["Policy"])
        return eventbridge.json_response({})

    return put


_FLOW_LOG_FIELDS = {
    "DeliverLogsPermissionArn": "deliverLogsPermissionArn",
    "LogFormat": "logFormat",
    "MaxAggregationInterval": "maxAggregationInterval",
}


def keep_flow_log(original: Callable[[dict], tuple]) -> Callable[[dict], tuple]:
    """Wraps CreateFlowLogs to keep role, format, interval and tags."""

    def keep(params: dict) -> tuple:
        before = set(ec2._flow_logs)
        reply = original(params)
        for log in set(ec2._flow_logs) - before:
            ec2._parse_tag_specs(params, "vpc-flow-log", log)
            kept = {field: ec2._p(params, field) for field in _FLOW_LOG_FIELDS}
            ec2._flow_logs[log].update({"MaxAggregationInterval": "600", **{k: v for k, v in kept.items() if v}})
        return reply

    return keep


def describe_flow_logs(original: Callable[[dict], tuple]) -> Callable[[dict], tuple]:
    """Wraps DescribeFlowLogs to return what `keep_flow_log` kept."""

    def describe(params: dict) -> tuple:
        status, headers, body = original(params)
        text = body.decode() if isinstance(body, bytes) else body
        for name, log in ec2._flow_logs.items():
            more = "".join(_render(log.get(field), tag) for field, tag in _FLOW_LOG_FIELDS.items())
            text = text.replace(f"<flowLogId>{name}</flowLogId>", f"<flowLogId>{name}</flowLogId>{more}")
        return status, headers, text.encode()

    return describe


_UPLOAD_TAGS = "sluicegate-tags"


def create_multipart_upload(original: Callable) -> Callable:
    """Wraps CreateMultipartUpload to keep the tags for the future object."""

    def create(bucket: str, key: str, headers: dict) -> tuple:
        tags = dict(urllib.parse.parse_qsl(headers.get("x-amz-tagging", ""), keep_blank_values=True))
        if len(tags) > 10:
            return s3._error("BadRequest", "Object tags cannot be greater than 10", 400)
        status, fields, body = original(bucket, key, headers)
        if status < 400:
            upload = body.partition(b"<UploadId>")[2].partition(b"<")[0].decode()
            s3._multipart_uploads[upload][_UPLOAD_TAGS] = tags
        return status, fields, body

    return create


def complete_multipart_upload(original: Callable) -> Callable:
    """Wraps CompleteMultipartUpload to set the object's tags to those of its upload."""

    def complete(bucket: str, key: str, body: bytes, query: dict, headers: dict | None = None) -> tuple:
        name = s3._qp(query, "uploadId")
        upload = s3._multipart_uploads.get(name)
        reply = original(bucket, key, body, query, headers)
        if upload is not None and name not in s3._multipart_uploads:
            version = (bucket, key, s3._buckets[bucket]["objects"][key].get("version_id"))
            s3._object_tags.pop(version, None)
            if upload.get(_UPLOAD_TAGS):
                s3._object_tags[version] = upload[_UPLOAD_TAGS]
        return reply

    return complete


def apply() -> None:
    """Replaces MiniStack's functions with those above."""
    cloudwatch._put_metric_alarm = put_alarm(cloudwatch._put_metric_alarm, "PutMetricAlarm")
    cloudwatch._put_composite_alarm = put_alarm(cloudwatch._put_composite_alarm, "PutCompositeAlarm")
    cloudwatch._describe_alarms = describe_alarms(cloudwatch._describe_alarms)
    sfn._create_state_machine = keep_tracing(sfn._create_state_machine)
    sfn._update_state_machine = keep_tracing(sfn._update_state_machine)
    for action in ("CreateService", "UpdateService"):
        ecs._ACTION_MAP[action] = keep_service_fields(ecs._ACTION_MAP[action])
    ec2._ACTION_MAP["CreateFlowLogs"] = keep_flow_log(ec2._ACTION_MAP["CreateFlowLogs"])
    ec2._ACTION_MAP["DescribeFlowLogs"] = describe_flow_logs(ec2._ACTION_MAP["DescribeFlowLogs"])
    action = "AuthorizeSecurityGroupEgress"
    ec2._ACTION_MAP[action] = keep_egress_tags(ec2._ACTION_MAP[action])
    lambda_svc._put_event_invoke_config = put_event_invoke_config(lambda_svc._put_event_invoke_config)
    eventbridge._put_permission = put_permission(eventbridge._put_permission)
    s3._create_multipart_upload = create_multipart_upload(s3._create_multipart_upload)
    s3._complete_multipart_upload = complete_multipart_upload(s3._complete_multipart_upload)
