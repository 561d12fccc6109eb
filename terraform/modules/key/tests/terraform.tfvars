# The variables of every test in this directory, unless a run sets its own.

account     = { partition = "aws", id = "111122223333", region = "eu-central-1" }
name        = "example"
description = "An example."
