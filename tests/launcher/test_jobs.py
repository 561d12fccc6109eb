"""Step Functions: Batch jobs and CodeBuild builds on the fakes."""

from __future__ import annotations

import json

import pytest
from conftest import Emulator, patch
from machines import begin, branch, ended, output, run, unique
from fakes import Fakes


def job(fate: str, tag: str, **fields: object) -> dict:
    """Returns a task state that runs a Batch job."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::batch:submitJob.sync",
        "Arguments": {
            "JobName": f"{fate}-{tag}",
            "JobQueue": "queue",
            "JobDefinition": "definition",
            "ContainerOverrides": {"Command": ["plan", "--job", "j"], "Environment": [{"Name": "A", "Value": "b"}]},
            "Tags": {"runId": "r"},
        },
        **fields,
    }


def build(fate: str, tag: str, **fields: object) -> dict:
    """Returns a task state that runs a CodeBuild build."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::codebuild:startBuild.sync",
        "Arguments": {
            "ProjectName": f"{fate}-{tag}",
            "SourceTypeOverride": "S3",
            "SourceLocationOverride": "bucket/key.zip",
            "EnvironmentVariablesOverride": [{"Name": "RUN", "Value": "r", "Type": "PLAINTEXT"}],
        },
        **fields,
    }


@patch("batch")
def test_a_batch_job_runs_to_its_end(emulator: Emulator, fakes: Fakes) -> None:
    tag = unique()
    result = output(run(emulator, {"Job": job("ok", tag)}))
    assert (result["JobName"], result["Status"]) == (f"ok-{tag}", "SUCCEEDED")
    assert result["Container"]["ExitCode"] == 0
    assert result["Container"]["LogStreamName"] == "stream"
    assert result["Tags"] == {"runId": "r"}
    [submitted] = [body for action, body in fakes.requests if body.get("jobName") == f"ok-{tag}"]
    assert submitted["containerOverrides"]["environment"] == [{"name": "A", "value": "b"}]


@patch("codebuild")
def test_a_build_runs_to_its_end(emulator: Emulator) -> None:
    tag = unique()
    result = output(run(emulator, {"Build": build("ok", tag)}))["Build"]
    assert (result["ProjectName"], result["BuildStatus"]) == (f"ok-{tag}", "SUCCEEDED")
    assert result["Id"].startswith(f"ok-{tag}:")
    assert result["StartTime"] == 1700000000500
    assert result["Environment"]["EnvironmentVariables"] == [{"Name": "RUN", "Value": "r", "Type": "PLAINTEXT"}]


def test_a_job_may_be_started_without_waiting(patched: Emulator, fakes: Fakes) -> None:
    tag = unique()
    state = job("hang", tag) | {"Resource": "arn:aws:states:::batch:submitJob"}
    result = output(run(patched, {"Job": state}))
    assert result["JobId"] == fakes.of(tag)[0]["jobId"]


@patch("batch")
def test_a_failed_job_fails_its_task_with_the_job_as_cause(emulator: Emulator) -> None:
    result = run(emulator, {"Job": job("bad", unique())})
    assert result["error"] == "States.TaskFailed"
    assert json.loads(result["cause"])["Container"]["ExitCode"] == 1


@patch("codebuild")
def test_a_failed_build_fails_its_task_with_the_build_as_cause(emulator: Emulator) -> None:
    result = run(emulator, {"Build": build("bad", unique())})
    assert result["error"] == "States.TaskFailed"
    assert json.loads(result["cause"])["Build"]["BuildStatus"] == "FAILED"


@patch("batch")
def test_a_refused_job_has_the_name_of_its_error(emulator: Emulator) -> None:
    result = run(emulator, {"Job": job("refused", unique())})
    assert result["error"] == "Batch.ClientException"


@patch("codebuild")
def test_a_refused_build_has_the_name_of_its_error(emulator: Emulator) -> None:
    result = run(emulator, {"Build": build("refused", unique())})
    assert result["error"] == "CodeBuild.ResourceNotFoundException"


def test_an_argument_the_service_does_not_have_is_refused(patched: Emulator) -> None:
    state = job("ok", unique())
    state["Arguments"]["Typo"] = 1
    result = run(patched, {"Job": state})
    assert result["error"] == "States.Runtime"
    assert "Typo" in result["cause"]


@pytest.mark.parametrize("state", [job, build], ids=["batch", "codebuild"])
def test_a_job_that_runs_too_long_is_stopped(patched: Emulator, fakes: Fakes, state: object) -> None:
    tag = unique()
    assert run(patched, {"Job": state("hang", tag, TimeoutSeconds=1)})["error"] == "States.Timeout"
    patched.wait(lambda: fakes.of(tag)[0].get("stopped"), "the job to be stopped")


@pytest.mark.parametrize("state", [job, build], ids=["batch", "codebuild"])
def test_stopping_the_execution_stops_its_job(patched: Emulator, fakes: Fakes, state: object) -> None:
    tag = unique()
    execution = begin(patched, {"Each": {
        "Type": "Map", "Items": [1], "ItemProcessor": branch({"Job": state("hang", tag)})}})
    patched.wait(lambda: fakes.of(tag), "the job to be started")
    patched.client("stepfunctions").stop_execution(executionArn=execution)
    patched.wait(lambda: fakes.of(tag)[0].get("stopped"), "the job to be stopped")
    assert ended(patched, execution)["status"] == "ABORTED"


def test_the_failure_of_one_branch_stops_the_job_of_the_other(patched: Emulator, fakes: Fakes) -> None:
    tag = unique()
    result = run(patched, {
        "Both": {
            "Type": "Parallel",
            "Branches": [
                branch({"Job": job("hang", tag)}),
                branch({"Sleep": {"Type": "Wait", "Seconds": 1, "Next": "Bad"}, "Bad": job("bad", unique())}),
            ],
            "Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "Caught"}],
        },
        "Caught": {"Type": "Succeed"},
    })
    assert result["status"] == "SUCCEEDED"
    patched.wait(lambda: fakes.of(tag)[0].get("stopped"), "the job to be stopped")


@patch("fakes-by-port")
def test_the_emulators_own_port_reaches_the_fakes(emulator: Emulator, fakes: Fakes) -> None:
    tag = unique()
    reply = emulator.client("batch").submit_job(jobName=f"hang-{tag}", jobQueue="q", jobDefinition="d")
    assert [found["jobId"] for found in fakes.of(tag)] == [reply["jobId"]]
    found = emulator.client("codebuild").start_build(projectName=f"hang-{tag}")["build"]
    assert found["id"] in fakes.jobs
