locals {
  # Each alarm: what it means for an operator, the metric, and the highest value in five minutes without an alarm. An alarm with
  # `below` instead has the lowest value in 15 minutes without an alarm, and is raised without data, too.
  fixed = {
    webhook-errors = {
      description = "The webhook Lambda fails: events are lost, and the forge does not send them again."
      namespace   = "AWS/Lambda", metric = "Errors", dimensions = { FunctionName = var.functions.webhook }, above = 0
    }
    webhook-throttled = {
      description = "The webhook Lambda is throttled: raise its reserved concurrency or the account's limit."
      namespace   = "AWS/Lambda", metric = "Throttles", dimensions = { FunctionName = var.functions.webhook }, above = 0
    }
    webhook-5xx = {
      description = "The webhook's function URL returns 5xx."
      namespace   = "AWS/Lambda", metric = "Url5xxCount", dimensions = { FunctionName = var.functions.webhook }, above = 0
    }
    webhook-rejected = {
      description = "The webhook rejects many requests: a wrong secret, or an attack."
      namespace   = "AWS/Lambda", metric = "Url4xxCount", dimensions = { FunctionName = var.functions.webhook }, above = 50
    }
    record-errors = {
      description = "The record Lambda fails: runs may have no audit entry, or keep the lock of their environment."
      namespace   = "AWS/Lambda", metric = "Errors", dimensions = { FunctionName = var.functions.record }, above = 0
    }
    reconcile-errors = {
      description = "The reconcile Lambda fails: stopped runs, missed pushes or missing audit entries may stay as they are."
      namespace   = "AWS/Lambda", metric = "Errors", dimensions = { FunctionName = var.functions.reconcile }, above = 0
    }
    reconcile-missing = {
      description = "The reconcile Lambda was not called for 15 minutes: the rule that calls it is disabled or has lost its permission."
      namespace   = "AWS/Lambda", metric = "Invocations", dimensions = { FunctionName = var.functions.reconcile }, below = 1
    }
    runs-failed = {
      description = "A run failed; `sluicegate show` shows why and what was restored."
      namespace   = "AWS/States", metric = "ExecutionsFailed", dimensions = { StateMachineArn = var.state_machine_arn }, above = 0
    }
    runs-timed-out = {
      description = "A run exceeded the time limit of the state machine."
      namespace   = "AWS/States", metric = "ExecutionsTimedOut", dimensions = { StateMachineArn = var.state_machine_arn }, above = 0
    }
    runs-throttled = {
      description = "Step Functions throttles the state machine."
      namespace   = "AWS/States", metric = "ExecutionThrottled", dimensions = { StateMachineArn = var.state_machine_arn }, above = 0
    }
    events-lost = {
      description = "Events could not be delivered, or a Batch queue is blocked: read the queue, fix the cause, send the events again."
      namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = var.queues.events_lost }, above = 0
    }
    status-unread = {
      description = "A consumer of the status queue failed to process messages."
      namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = var.queues.status_unread }, above = 0
    }
    table-errors = {
      description = "DynamoDB returns internal errors."
      namespace   = "AWS/DynamoDB", metric = "SystemErrors", dimensions = { TableName = var.table_name }, above = 0
    }
  }

  rules = { for key, value in var.rules : "rule-${key}-failed" => {
    description = "EventBridge could not call the target of the rule ${value.rule}."
    namespace   = "AWS/Events"
    metric      = "FailedInvocations"
    dimensions  = merge({ RuleName = value.rule }, value.bus == null ? {} : { EventBusName = value.bus })
    above       = 0
  } }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = merge(local.fixed, local.rules)

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = endswith(each.value.metric, "Visible") ? "Maximum" : "Sum"
  period              = can(each.value.below) ? 900 : 300
  evaluation_periods  = 1
  comparison_operator = can(each.value.below) ? "LessThanThreshold" : "GreaterThanThreshold"
  threshold           = try(each.value.below, each.value.above)
  treat_missing_data  = can(each.value.below) ? "breaching" : "notBreaching"
  alarm_actions       = var.topic_arns
  ok_actions          = var.topic_arns
}

locals {
  region = var.account.region

  graphs = [
    {
      title = "Runs"
      metrics = [for metric in ["ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsAborted", "ExecutionsTimedOut"] :
        ["AWS/States", metric, "StateMachineArn", var.state_machine_arn]
      ]
      stat = "Sum"
    },
    {
      title   = "Duration of runs (ms)"
      metrics = [["AWS/States", "ExecutionTime", "StateMachineArn", var.state_machine_arn]]
      stat    = "p95"
    },
    {
      title   = "Lambda errors"
      metrics = [for name in var.functions.all : ["AWS/Lambda", "Errors", "FunctionName", name]]
      stat    = "Sum"
    },
    {
      title   = "Lambda duration (ms)"
      metrics = [for name in var.functions.all : ["AWS/Lambda", "Duration", "FunctionName", name]]
      stat    = "p95"
    },
    {
      title = "Webhook"
      metrics = [for metric in ["UrlRequestCount", "Url4xxCount", "Url5xxCount"] :
        ["AWS/Lambda", metric, "FunctionName", var.functions.webhook]
      ]
      stat = "Sum"
    },
    {
      title = "Queues"
      metrics = [for name in [var.queues.status, var.queues.status_unread, var.queues.events_lost] :
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", name]
      ]
      stat = "Maximum"
    },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [for index, graph in local.graphs : {
      type   = "metric"
      x      = 12 * (index % 2)
      y      = 6 * floor(index / 2)
      width  = 12
      height = 6
      properties = {
        title   = graph.title
        region  = local.region
        view    = "timeSeries"
        period  = 300
        stat    = graph.stat
        metrics = graph.metrics
      }
    }]
  })
}
