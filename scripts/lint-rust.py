"""Shows the warnings of a build, those of clippy among them, and of rustdoc. Fails if there is one.

    lint-rust.py METADATA MESSAGES

METADATA is the output of `cargo metadata --all-features`, MESSAGES that of `cargo build --message-format json` for the programs and
tests of the workspace. The build runs clippy, see .cargo/config.toml. rustdoc uses the libraries of the build: `cargo doc` would
first check every dependency again, which takes minutes.
"""

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def warnings(messages):
    """Returns the warnings of the compiler and of clippy, each once."""
    found = {}
    for message in messages:
        if message["reason"] == "compiler-message" and message["message"]["level"] == "warning":
            found[message["message"]["rendered"]] = None
    return list(found)


def libraries(messages, triple):
    """Returns the compiled library of each package, by package id. Of packages that were built for build scripts too, the one
    for this machine's target."""
    found = {}
    for message in messages:
        if message["reason"] != "compiler-artifact" or message["profile"]["test"]:
            continue
        target = message["target"]
        if not {"lib", "rlib", "proc-macro"} & set(target["kind"]):
            continue
        for file in message["filenames"]:
            is_macro = "proc-macro" in target["kind"] and file.endswith(".so")
            is_library = file.endswith(".rlib") and f"/{triple}/" in file
            if is_macro or is_library:
                found[message["package_id"]] = file
    return found


def commands(metadata, compiled, triple):
    """Returns the name of each program and library of the workspace, with its rustdoc command and the variables that cargo sets."""
    members = set(metadata["workspace_members"])
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    jobs = []
    for package in metadata["packages"]:
        if package["id"] not in members:
            continue
        node = nodes[package["id"]]
        externs = []
        for dependency in node["deps"]:
            is_normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if is_normal and dependency["pkg"] in compiled:
                externs += ["--extern", f"{dependency['name']}={compiled[dependency['pkg']]}"]
        features = [item for name in node["features"] for item in ("--cfg", f'feature="{name}"')]
        for target in package["targets"]:
            if not {"lib", "bin"} & set(target["kind"]):
                continue
            own = []
            if "bin" in target["kind"] and package["id"] in compiled:
                library = next(one for one in package["targets"] if "lib" in one["kind"])
                own = ["--extern", f"{library['name'].replace('-', '_')}={compiled[package['id']]}"]
            environment = {
                "CARGO_PKG_NAME": package["name"],
                "CARGO_PKG_VERSION": package["version"],
                "CARGO_MANIFEST_DIR": str(Path(package["manifest_path"]).parent),
                "CARGO_CRATE_NAME": target["name"].replace("-", "_"),
            }
            command = ["rustdoc", target["src_path"], "--crate-name", target["name"].replace("-", "_")]
            command += ["--edition", target["edition"], "--target", triple, "--crate-type"]
            if "bin" in target["kind"]:
                command += ["bin", "--document-private-items"]
            else:
                command += ["lib"]
            command += [*features, *externs, *own]
            jobs.append((target["name"], command, environment))

    return jobs


def main(metadata, messages):
    metadata = json.loads(Path(metadata).read_text())
    messages = [json.loads(line) for line in Path(messages).read_text().splitlines()]
    triple = os.environ["CARGO_BUILD_TARGET"]
    shown = warnings(messages)
    print("\n".join(shown))
    jobs = commands(metadata, libraries(messages, triple), triple)
    target = Path(metadata["target_directory"])
    common = ["-L", f"dependency={target}/{triple}/debug/deps", "-L", f"dependency={target}/debug/deps"]
    common += ["-D", "warnings"]
    with tempfile.TemporaryDirectory() as output:

        def document(job):
            name, command, environment = job
            command = [*command, *common, "--out-dir", f"{output}/{name}"]
            return name, subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            ended = list(pool.map(document, jobs))
    failed = [(name, run.stderr) for name, run in ended if run.returncode]
    for name, text in failed:
        print(f"== {name}\n{text}")
    print(f"{len(shown)} warnings of rustc and clippy; {len(ended)} crates, {len(failed)} with warnings of rustdoc")
    return 1 if shown or failed else 0


sys.exit(main(*sys.argv[1:]))
