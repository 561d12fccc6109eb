# The variables of every test in this directory, unless a run sets its own.

account           = { partition = "aws", id = "111122223333", region = "eu-central-1" }
name              = "example"
functions         = { webhook = "example-webhook", record = "example-record", reconcile = "example-reconcile", all = ["example-webhook"] }
state_machine_arn = "arn:aws:states:eu-central-1:111122223333:stateMachine:example"
queues            = { status = "status", status_unread = "unread", events_lost = "lost" }
rules             = { push = { rule = "example-push", bus = "example" } }
table_name        = "example"
