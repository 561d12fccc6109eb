"""Renders tests/situations.txt with the results of a test run into a table of tests/README.md.

    situations.py [--write] JUNIT...

JUNIT are the reports of nextest. Without --write, compares the table with the one in tests/README.md. Exit status 1 when they
differ, and, with or without --write, when a test that tests/situations.txt names did not run or did not pass.
"""

import sys
import xml.etree.ElementTree as xml
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BEGIN = "<!-- begin situations: rendered by scripts/situations.py -->"
END = "<!-- end situations -->"


def results(reports):
    """Returns the result of each test, by suite and name."""
    found = {}
    for report in reports:
        for suite in xml.parse(report).getroot().iter("testsuite"):
            for case in suite.iter("testcase"):
                failed = case.find("failure") is not None or case.find("error") is not None
                found[suite.get("name"), case.get("name")] = "failed" if failed else "passed"
    return found


def situations():
    """Returns each situation with its tests, as pairs of suite and name."""
    listed = []
    for line in (ROOT / "tests/situations.txt").read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith(" "):
            listed[-1][1].append(tuple(line.split()))
        else:
            listed.append((line, []))
    return listed


def rows(found):
    """Returns each test with its situation and its result."""
    return [
        (situation, suite, name, found.get((suite, name), "did not run"))
        for situation, tests in situations()
        for suite, name in tests
    ]


def table(found):
    lines = ["| Situation | Test | Result |", "| --- | --- | --- |"]
    last = None
    for situation, suite, name, result in rows(found):
        short = suite.removeprefix("sluicegate-")
        lines.append(f"| {'' if situation == last else situation} | `{short}` `{name}` | {result} |")
        last = situation
    return "\n".join(lines)


def report_missing(found):
    """Prints the situations without a test and each test that did not pass. Returns whether there are any."""
    missing = [f"{situation}: no test is listed" for situation, tests in situations() if not tests]
    missing += [
        f"{situation}: {suite} {name} {result}"
        for situation, suite, name, result in rows(found)
        if result != "passed"
    ]
    if missing:
        print("tests/situations.txt names tests that did not pass:")
        for line in missing:
            print(f"  {line}")
        print("next: repair the tests, or correct the names in tests/situations.txt")
    return bool(missing)


def main(arguments):
    write = "--write" in arguments
    found = results([one for one in arguments if one != "--write"])
    rendered = f"{BEGIN}\n{table(found)}\n{END}"
    page = ROOT / "tests/README.md"
    text = page.read_text()
    before, rest = text.split(BEGIN, 1)
    present, after = rest.split(END, 1)
    if write:
        page.write_text(before + rendered + after)
    if report_missing(found):
        return 1
    if not write and BEGIN + present + END != rendered:
        print("tests/README.md differs from the results of this test run:")
        old = present.splitlines()
        for line in rendered.splitlines()[1:-1]:
            if line not in old:
                print(f"  {line}")
        print("next: run scripts/situations.py --write target/test-logs/junit-*.xml")
        return 1
    print(f"{len(situations())} situations, {rendered.count('| passed |')} passed tests")
    return 0


sys.exit(main(sys.argv[1:]))
