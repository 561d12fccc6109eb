"""Lints a state machine definition with cfn-lint, whose schema supports JSONata.

    lint-asl.py FILE

cfn-lint reads CloudFormation templates, so the script embeds the definition in one. It fills the placeholders, which have the
same syntax in Terraform and CloudFormation. Exit status 0 when cfn-lint reports nothing.
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
        # As a module, because a shebang line does not support every path.
        program = "import sys; from cfnlint.runner import main; sys.exit(main())"
        lint = [sys.executable, "-c", program, "--regions", "eu-central-1", "--", draft.name]
        return subprocess.run(lint, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
