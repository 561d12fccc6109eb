locals {
  suffix     = var.fifo ? ".fifo" : ""
  arn_prefix = "arn:${var.account.partition}:sqs:${var.account.region}:${var.account.id}:"
  arn        = "${local.arn_prefix}${var.name}${local.suffix}"

  tls_only = {
    Sid       = "TlsOnly"
    Effect    = "Deny"
    Principal = "*"
    Action    = "sqs:*"
    Resource  = local.arn
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }

  from_rules = {
    Sid       = "EventRules"
    Effect    = "Allow"
    Principal = { Service = "events.amazonaws.com" }
    Action    = "sqs:SendMessage"
    Resource  = local.arn
    Condition = {
      ArnEquals    = { "aws:SourceArn" = var.event_rule_arns }
      StringEquals = { "aws:SourceAccount" = var.account.id }
    }
  }
}

# The policy is an argument of the queue instead of a resource: the provider waits 25 seconds for each such resource.
resource "aws_sqs_queue" "this" {
  name                              = "${var.name}${local.suffix}"
  fifo_queue                        = var.fifo
  content_based_deduplication       = var.fifo ? false : null
  deduplication_scope               = var.fifo ? "messageGroup" : null
  fifo_throughput_limit             = var.fifo ? "perMessageGroupId" : null
  kms_master_key_id                 = var.key_arn
  kms_data_key_reuse_period_seconds = 300
  message_retention_seconds         = var.retention_days * 86400
  visibility_timeout_seconds        = var.visibility_timeout_seconds

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for statement in [local.tls_only, local.from_rules] : statement
      if statement.Effect == "Deny" || length(var.event_rule_arns) > 0
    ]
  })

  redrive_allow_policy = var.dead_letter_for == null ? null : jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [for name in var.dead_letter_for : "${local.arn_prefix}${name}${local.suffix}"]
  })
}

# A separate resource, so that both queues of a pair are created at the same time: the dead-letter queue must exist first.
resource "aws_sqs_queue_redrive_policy" "this" {
  count = var.dead_letter == null ? 0 : 1

  queue_url = aws_sqs_queue.this.id
  redrive_policy = jsonencode({
    deadLetterTargetArn = var.dead_letter.arn
    maxReceiveCount     = var.dead_letter.attempts
  })
}
