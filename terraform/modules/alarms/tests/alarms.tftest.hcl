mock_provider "aws" {}

run "what_is_never_called_reports_nothing" {
  command = plan

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.this["reconcile-missing"].metric_name == "Invocations"
      && aws_cloudwatch_metric_alarm.this["reconcile-missing"].comparison_operator == "LessThanThreshold"
      && aws_cloudwatch_metric_alarm.this["reconcile-missing"].threshold == 1
      && aws_cloudwatch_metric_alarm.this["reconcile-missing"].period == 900
      && aws_cloudwatch_metric_alarm.this["reconcile-missing"].treat_missing_data == "breaching"
    )
    error_message = "An alarm must be raised when the reconcile Lambda is not called for 15 minutes, although its metric has no data then."
  }

  assert {
    condition = alltrue([for key, alarm in aws_cloudwatch_metric_alarm.this :
      alarm.comparison_operator == "GreaterThanThreshold" && alarm.period == 300 && alarm.treat_missing_data == "notBreaching"
      if key != "reconcile-missing"
    ])
    error_message = "Every other alarm is about what happens, so that no data is good."
  }
}
