"""Lints a state machine's definition with cfn-lint, which knows the language's schema with JSONata.

    lint-asl.py FILE

cfn-lint reads CloudFormation templates, so the definition is put into one; its placeholders are
filled, since Terraform's form of them is CloudFormation's too. Exit 0 when nothing was found.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> int:
    file = Path(sys.argv[1])
    text = re.sub(r"\$\{([a-z_]+)\}", r"placeholder-\1", file.read_text(encoding="utf-8"))
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {
            "Machine": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {
                    "RoleArn": "arn:aws:iam::123456789012:role/lint",
                    "Definition": json.loads(text),
                },
            }
        },
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as draft:
        json.dump(template, draft)
        draft.flush()
        # By its module: the first line of the installed program cannot hold every path.
        program = "import sys; from cfnlint.runner import main; sys.exit(main())"
        lint = [sys.executable, "-c", program, "--regions", "eu-central-1", "--", draft.name]
        return subprocess.run(lint, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
