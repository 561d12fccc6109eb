# The variables of every test in this directory, unless a run sets its own.

account            = { partition = "aws", id = "111122223333", region = "eu-central-1" }
name               = "example"
state_machine_arn  = "arn:aws:states:eu-central-1:111122223333:stateMachine:example"
start_function     = { name = "example-start", alias = "live", alias_arn = "arn:aws:lambda:eu-central-1:111122223333:function:example-start:live" }
ended_function     = { name = "example-record", alias = "live", alias_arn = "arn:aws:lambda:eu-central-1:111122223333:function:example-record:live" }
reconcile_function = { name = "example-reconcile", alias = "live", alias_arn = "arn:aws:lambda:eu-central-1:111122223333:function:example-reconcile:live" }
job_queue_arns     = ["arn:aws:batch:eu-central-1:111122223333:job-queue/example"]
dead_letter_arn    = "arn:aws:sqs:eu-central-1:111122223333:lost"
