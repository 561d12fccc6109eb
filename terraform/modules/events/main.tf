resource "aws_cloudwatch_event_bus" "this" {
  name = var.name
}

# A push starts a run, whether the forge or the reconcile Lambda reports it. The start Lambda starts the state machine, because
# a target cannot name the execution. `validate` decides whether the repository and the branch are enrolled, so the rule does not
# change with the enrolments.

resource "aws_cloudwatch_event_rule" "push" {
  name           = "${var.name}-push"
  description    = "A push starts a run."
  event_bus_name = aws_cloudwatch_event_bus.this.name
  event_pattern = jsonencode({
    source      = ["github.com", "gitlab.com"]
    detail-type = ["push", "reconciliation"]
  })
}

resource "aws_cloudwatch_event_target" "push" {
  rule           = aws_cloudwatch_event_rule.push.name
  event_bus_name = aws_cloudwatch_event_bus.this.name
  target_id      = "start"
  arn            = var.start_function.alias_arn
  input_path     = "$.detail"

  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 20
  }

  dead_letter_config {
    arn = var.dead_letter_arn
  }
}

# EventBridge has delivered the event when Lambda accepts the call. From then on Lambda repeats it; an event that fails for good
# goes to the function's dead-letter queue.
resource "aws_lambda_function_event_invoke_config" "start" {
  function_name                = var.start_function.name
  qualifier                    = var.start_function.alias
  maximum_event_age_in_seconds = 3600
  maximum_retry_attempts       = 2
}

resource "aws_lambda_permission" "push" {
  statement_id  = "rule-push"
  action        = "lambda:InvokeFunction"
  function_name = var.start_function.name
  qualifier     = var.start_function.alias
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.push.arn
}

# The run of an execution that was stopped, timed out or failed before its last step must be closed: lock, audit, status.

resource "aws_cloudwatch_event_rule" "ended" {
  name        = "${var.name}-ended"
  description = "The record Lambda closes runs whose execution did not succeed."
  event_pattern = jsonencode({
    source      = ["aws.states"]
    detail-type = ["Step Functions Execution Status Change"]
    detail = {
      stateMachineArn = [var.state_machine_arn]
      status          = ["ABORTED", "TIMED_OUT", "FAILED"]
    }
  })
}

resource "aws_cloudwatch_event_target" "ended" {
  rule      = aws_cloudwatch_event_rule.ended.name
  target_id = "record"
  arn       = var.ended_function.alias_arn

  # The input of RecordInput::ExecutionEnded. Events of an encrypted state machine contain no input, so the run is not known here.
  input_transformer {
    input_paths = {
      execution = "$.detail.executionArn"
      status    = "$.detail.status"
    }
    input_template = "{\"action\":\"execution-ended\",\"execution\":<execution>,\"status\":<status>}"
  }

  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 20
  }

  dead_letter_config {
    arn = var.dead_letter_arn
  }
}

resource "aws_lambda_permission" "ended" {
  statement_id  = "rule-ended"
  action        = "lambda:InvokeFunction"
  function_name = var.ended_function.name
  qualifier     = var.ended_function.alias
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.ended.arn
}

# What no event reports: runs whose events were lost, missed pushes, missing audit entries. A call that fails is repeated by
# the next one, so the target has no dead-letter queue.

resource "aws_cloudwatch_event_rule" "reconcile" {
  name                = "${var.name}-reconcile"
  description         = "The reconcile Lambda looks at open runs, environments and watched branches."
  schedule_expression = "rate(5 minutes)"
}

resource "aws_cloudwatch_event_target" "reconcile" {
  rule      = aws_cloudwatch_event_rule.reconcile.name
  target_id = "reconcile"
  arn       = var.reconcile_function.alias_arn
  input     = jsonencode({ action = "reconcile" })

  retry_policy {
    maximum_event_age_in_seconds = 240
    maximum_retry_attempts       = 1
  }
}

# Lambda would repeat a failed call twice, beside the next call of the schedule.
resource "aws_lambda_function_event_invoke_config" "reconcile" {
  function_name                = var.reconcile_function.name
  qualifier                    = var.reconcile_function.alias
  maximum_event_age_in_seconds = 120
  maximum_retry_attempts       = 0
}

resource "aws_lambda_permission" "reconcile" {
  statement_id  = "rule-reconcile"
  action        = "lambda:InvokeFunction"
  function_name = var.reconcile_function.name
  qualifier     = var.reconcile_function.alias
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.reconcile.arn
}

# Batch has no metric for a queue that cannot start its next job, only this event.

resource "aws_cloudwatch_event_rule" "blocked" {
  name        = "${var.name}-blocked"
  description = "A Batch queue cannot start its next job: an operator must look at it."
  event_pattern = jsonencode({
    source      = ["aws.batch"]
    detail-type = ["Batch Job Queue Blocked"]
    detail      = { jobQueue = var.job_queue_arns }
  })
}

resource "aws_cloudwatch_event_target" "blocked" {
  rule      = aws_cloudwatch_event_rule.blocked.name
  target_id = "dead-letters"
  arn       = var.dead_letter_arn
}
