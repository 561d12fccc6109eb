"""Fakes of Batch and CodeBuild that accept jobs, whose results the test determines."""

from __future__ import annotations

import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Fakes:
    """One server for both APIs. A job's name, or a build's project, determines its result.

    `ok` succeeds, `bad` fails, `refused` is not accepted, `hang` runs until it is stopped.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, dict] = {}
        self.requests: list[tuple[str, dict]] = []
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
                target = self.headers.get("X-Amz-Target")
                action = target.split(".")[-1] if target else self.path.rsplit("/", 1)[-1]
                status, reply = outer._answer(action.lower(), body)
                content = json.dumps(reply).encode()
                self.send_response(status)
                if status >= 400:
                    self.send_header("x-amzn-errortype", reply["code"])
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stops the server."""
        self._server.shutdown()
        self._server.server_close()

    def of(self, name: str) -> list[dict]:
        """Returns the jobs and builds of a test, identified by a tag in their names or variables."""
        with self._lock:
            return [dict(job) for job in self.jobs.values() if job["tag"] == name]

    def _answer(self, action: str, body: dict) -> tuple[int, dict]:
        with self._lock:
            self.requests.append((action, body))
            return getattr(self, f"_{action}")(body)

    def _submitjob(self, body: dict) -> tuple[int, dict]:
        fate, _, tag = body["jobName"].partition("-")
        if fate == "refused":
            return 400, {"code": "ClientException", "message": "JobQueue not found"}
        id_ = str(uuid.uuid4())
        status = {"ok": "SUCCEEDED", "bad": "FAILED", "hang": "RUNNING"}[fate]
        self.jobs[id_] = {
            "tag": tag,
            "jobId": id_,
            "jobName": body["jobName"],
            "jobQueue": body["jobQueue"],
            "jobDefinition": body["jobDefinition"],
            "status": status,
            "startedAt": 1700000000000,
            "container": {
                "exitCode": 0 if fate == "ok" else 1,
                "logStreamName": "stream",
                "command": body.get("containerOverrides", {}).get("command", []),
            },
            "tags": body.get("tags", {}),
        }
        return 200, {"jobId": id_, "jobName": body["jobName"], "jobArn": f"arn:aws:batch:eu-west-1:0:job/{id_}"}

    def _describejobs(self, body: dict) -> tuple[int, dict]:
        return 200, {"jobs": [self.jobs[id_] for id_ in body["jobs"] if id_ in self.jobs]}

    def _terminatejob(self, body: dict) -> tuple[int, dict]:
        self.jobs[body["jobId"]].update(status="FAILED", stopped=True)
        return 200, {}

    def _startbuild(self, body: dict) -> tuple[int, dict]:
        fate, _, tag = body["projectName"].partition("-")
        if fate == "refused":
            return 400, {"code": "ResourceNotFoundException", "__type": "ResourceNotFoundException", "message": "no"}
        id_ = f"{body['projectName']}:{uuid.uuid4()}"
        status = {"ok": "SUCCEEDED", "bad": "FAILED", "hang": "IN_PROGRESS"}[fate]
        self.jobs[id_] = {
            "tag": tag,
            "id": id_,
            "projectName": body["projectName"],
            "buildStatus": status,
            "startTime": 1700000000.5,
            "environment": {"environmentVariables": body.get("environmentVariablesOverride", [])},
        }
        return 200, {"build": self.jobs[id_]}

    def _batchgetbuilds(self, body: dict) -> tuple[int, dict]:
        return 200, {"builds": [self.jobs[id_] for id_ in body["ids"] if id_ in self.jobs]}

    def _stopbuild(self, body: dict) -> tuple[int, dict]:
        self.jobs[body["id"]].update(buildStatus="STOPPED", stopped=True)
        return 200, {"build": self.jobs[body["id"]]}
