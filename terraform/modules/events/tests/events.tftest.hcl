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
