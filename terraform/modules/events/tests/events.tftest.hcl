mock_provider "aws" {}

run "a_failed_call_of_reconcile_is_repeated_by_the_schedule_only" {
  command = plan

  assert {
    condition = (
      aws_lambda_function_event_invoke_config.reconcile.function_name == var.reconcile_function.name
      && aws_lambda_function_event_invoke_config.reconcile.qualifier == var.reconcile_function.alias
      && aws_lambda_function_event_invoke_config.reconcile.maximum_retry_attempts == 0
    )
    error_message = "Lambda must not repeat a call of the reconcile Lambda's alias: the next call of the schedule does."
  }

  assert {
    condition     = aws_lambda_function_event_invoke_config.reconcile.maximum_event_age_in_seconds < 300
    error_message = "A call must not wait in Lambda's queue until the next one."
  }
}

run "a_push_is_the_input_of_the_start_function" {
  command = plan

  assert {
    condition = (
      aws_cloudwatch_event_target.push.arn == var.start_function.alias_arn
      && aws_cloudwatch_event_target.push.input_path == "$.detail"
      && aws_cloudwatch_event_target.push.role_arn == null
      && aws_lambda_permission.push.function_name == var.start_function.name
      && aws_lambda_permission.push.qualifier == var.start_function.alias
    )
    error_message = "The rule `push` must call the alias of the start Lambda, with the event's detail."
  }

  assert {
    condition     = aws_cloudwatch_event_target.push.dead_letter_config[0].arn == var.dead_letter_arn
    error_message = "A push that Lambda does not accept must be kept."
  }

  assert {
    condition = (
      aws_lambda_function_event_invoke_config.start.function_name == var.start_function.name
      && aws_lambda_function_event_invoke_config.start.qualifier == var.start_function.alias
      && aws_lambda_function_event_invoke_config.start.maximum_retry_attempts == 2
      && aws_lambda_function_event_invoke_config.start.maximum_event_age_in_seconds == 3600
    )
    error_message = "Lambda must repeat a failed call of the start Lambda's alias twice, and a throttled one for an hour."
  }
}
