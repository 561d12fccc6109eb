mock_provider "aws" {}

variables {
  account            = { partition = "aws", id = "111122223333", region = "eu-central-1" }
  name               = "example"
  definition_file    = "../../../statemachine/deliver.asl.json"
  build_project_arn  = "arn:aws:codebuild:eu-central-1:111122223333:project/example-build-*"
  key_arn            = "arn:aws:kms:eu-central-1:111122223333:key/data"
  log_key_arn        = "arn:aws:kms:eu-central-1:111122223333:key/logs"
  log_retention_days = 30

  function_arns = {
    for name in keys(jsondecode(file("../../../statemachine/limits.json")).functions) :
    replace(name, "-", "_") => "arn:aws:lambda:eu-central-1:111122223333:function:${name}:live"
  }

  queue_arns = {
    plan  = "arn:aws:batch:eu-central-1:111122223333:job-queue/plan"
    apply = "arn:aws:batch:eu-central-1:111122223333:job-queue/apply"
  }
  job_definition_arns = "arn:aws:batch:eu-central-1:111122223333:job-definition/example-*"
}

run "history_is_encrypted_and_logs_hold_no_data" {
  command = plan

  assert {
    condition     = toset(flatten(regexall("[$][{]([^}]*)[}]", file(var.definition_file)))) == toset(keys(local.placeholders))
    error_message = "The definition must use every placeholder of this module, and no other."
  }

  assert {
    condition     = aws_sfn_state_machine.this.logging_configuration[0].level == "ALL"
    error_message = "Every event of an execution must be logged."
  }

  assert {
    condition     = !aws_sfn_state_machine.this.logging_configuration[0].include_execution_data
    error_message = "Inputs and outputs of states must stay out of the log."
  }

  assert {
    condition     = aws_sfn_state_machine.this.tracing_configuration[0].enabled
    error_message = "Executions must be traced."
  }

  assert {
    condition     = aws_sfn_state_machine.this.encryption_configuration[0].kms_key_id == var.key_arn
    error_message = "The definition and the history must be encrypted with the installation's key."
  }
}
