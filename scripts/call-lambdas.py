"""Runs each Lambda's program once against a bare runtime API and checks that it answers.

    call-lambdas.py DIRECTORY [--json FILE]

DIRECTORY holds the zips, each NAME.zip with the program `bootstrap`. A program gets plausible settings, no AWS, and the event
`{}`, which no function takes: a step must answer with the error `ContractViolation`, a function behind a URL with a status from
400 to 499. Anything else means that the program does not start, does not read its settings, or does not speak the runtime API.

Prints a line for each program: its answer, the time to its first request, the time to its answer, its peak memory. With --json
the numbers are written to FILE too. Exit status 1 when a program did not answer as expected, or when there is none.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# A program that takes longer is considered hung.
TIMEOUT_SECONDS = 30
SETTINGS = {
    "SLUICEGATE_TABLE": "sluicegate",
    "SLUICEGATE_BUCKET": "artifacts",
    "SLUICEGATE_BUILD_ARCHITECTURE": "arm64",
    "SLUICEGATE_AUDIT_BUCKET": "audit",
    "SLUICEGATE_STATE_BUCKET": "states",
    "SLUICEGATE_JOB_QUEUES": "plan,apply",
    "SLUICEGATE_STATE_MACHINE_ARN": "arn:aws:states:eu-central-1:111122223333:stateMachine:deliver",
    "SLUICEGATE_STATUS_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/111122223333/status.fifo",
    "SLUICEGATE_EVENT_BUS": "sluicegate",
    "SLUICEGATE_GIT_SECRET_ARN": "arn:aws:secretsmanager:eu-central-1:111122223333:secret:git",
    "SLUICEGATE_FORGE_URL": "https://api.github.com",
    "SLUICEGATE_LOG": "debug",
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_LAMBDA_FUNCTION_VERSION": "1",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "HOME": "/nonexistent",
}


class RuntimeApi(ThreadingHTTPServer):
    """Serves one invocation. A request outside the runtime API is a call to AWS, and is refused."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.first_request: float | None = None
        self.answered: float | None = None
        self.kind = ""
        self.answer: object = None
        self.done = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: RuntimeApi
    protocol_version = "HTTP/1.1"

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if not self.path.endswith("/runtime/invocation/next"):
            self.reply(400)
        elif self.server.first_request is None:
            self.server.first_request = time.monotonic()
            self.reply(
                200,
                b"{}",
                Lambda_Runtime_Aws_Request_Id="00000000-0000-4000-8000-000000000001",
                Lambda_Runtime_Deadline_Ms=str(int((time.time() + TIMEOUT_SECONDS) * 1000)),
                Lambda_Runtime_Invoked_Function_Arn="arn:aws:lambda:eu-central-1:111122223333:function:called",
            )
        else:
            # Block as AWS does between two invocations. The program is ended meanwhile.
            self.server.done.set()
            time.sleep(TIMEOUT_SECONDS)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = self.path.rsplit("/", 1)[-1]
        if "/runtime/" not in self.path:
            self.reply(400, b'{"__type":"UnrecognizedClientException","message":"there is no AWS here"}')
            return
        self.server.answered = time.monotonic()
        self.server.kind = kind
        self.server.answer = json.loads(body or b"null")
        self.reply(202)
        self.server.done.set()

    def log_message(self, *_: object) -> None:
        pass


def as_expected(kind: str, answer: object) -> str | None:
    """Returns a short description of the program's answer, if it is a valid answer to `{}`."""
    if not isinstance(answer, dict):
        return None
    if kind == "error" and answer.get("errorType") == "ContractViolation":
        return "ContractViolation"
    status = answer.get("statusCode")
    if kind == "response" and isinstance(status, int) and 400 <= status < 500:
        return f"HTTP {status}"
    return None


def peak_memory(process: int) -> int:
    """Returns the peak resident memory of a running process since its program was loaded, in bytes."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def call(zip_file: Path, scratch: Path) -> dict[str, object]:
    name = zip_file.stem
    program = scratch / name
    with zipfile.ZipFile(zip_file) as archive:
        with archive.open("bootstrap") as packed, program.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
    program.chmod(0o755)
    api = RuntimeApi()
    threading.Thread(target=api.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{api.server_port}"
    environment = SETTINGS | {
        "AWS_LAMBDA_RUNTIME_API": address,
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_ENDPOINT_URL": f"http://{address}",
    }
    log = scratch / f"{name}.log"
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen([program], env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        ended_by_itself = None
        peak_bytes = 0
        while not api.done.wait(0.05) and time.monotonic() - began < TIMEOUT_SECONDS:
            ended_by_itself = process.poll()
            if ended_by_itself is not None:
                break
        if ended_by_itself is None:
            peak_bytes = peak_memory(process.pid)
            process.kill()
            process.wait()
    api.shutdown()
    answer = as_expected(api.kind, api.answer)
    if answer is None or api.first_request is None or api.answered is None:
        why = f"ended with status {ended_by_itself}" if ended_by_itself is not None else "did not answer as expected"
        got = f"{api.kind}: {json.dumps(api.answer)[:500]}" if api.kind else "nothing"
        print(f"{name}: the program {why}; answer: {got}; its output:", file=sys.stderr)
        sys.stderr.write(log.read_text(encoding="utf-8", errors="replace")[-3000:])
        return {"name": name, "ok": False}
    return {
        "name": name,
        "ok": True,
        "answer": answer,
        "zip_bytes": zip_file.stat().st_size,
        "start_ms": round((api.first_request - began) * 1000),
        "answer_ms": round((api.answered - api.first_request) * 1000),
        "peak_bytes": peak_bytes,
    }


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("directory", type=Path)
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    zips = sorted(given.directory.glob("*.zip"))
    if not zips:
        print(f"{given.directory} holds no zip; build them with scripts/build-lambdas.sh x86_64", file=sys.stderr)
        return 1
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        for zip_file in zips:
            result = call(zip_file, Path(scratch))
            results.append(result)
            if result["ok"]:
                print(
                    f"{result['name']:<14} {result['answer']:<18} first request after {result['start_ms']} ms, "
                    f"answer after {result['answer_ms']} ms, peak memory {result['peak_bytes'] / 1e6:.1f} MB"
                )
    if given.json:
        given.json.write_text(json.dumps(results, indent=2), encoding="utf-8")
    failed = [result["name"] for result in results if not result["ok"]]
    print(f"Lambdas called: {len(results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
