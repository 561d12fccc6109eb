mock_provider "aws" {}

run "refuses_requests_without_tls" {
  command = plan

  assert {
    condition     = [for statement in jsondecode(aws_sqs_queue.this.policy).Statement : statement.Sid] == ["TlsOnly"]
    error_message = "Without rules the policy has the denial only."
  }
}

run "fifo_with_its_end" {
  command = plan

  variables {
    fifo        = true
    dead_letter = { arn = "arn:aws:sqs:eu-central-1:111122223333:example-unread.fifo", attempts = 3 }
  }

  assert {
    condition     = aws_sqs_queue.this.name == "example.fifo" && aws_sqs_queue.this.deduplication_scope == "messageGroup"
    error_message = "A FIFO queue's name ends with .fifo and keeps order by group."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue_redrive_policy.this[0].redrive_policy).maxReceiveCount == 3
    error_message = "After so many attempts a message must go to the end."
  }
}

run "takes_from_named_queues_only" {
  command = plan

  variables {
    fifo            = true
    dead_letter_for = ["source"]
  }

  assert {
    condition     = jsondecode(aws_sqs_queue.this.redrive_allow_policy).sourceQueueArns == ["arn:aws:sqs:eu-central-1:111122223333:source.fifo"]
    error_message = "Only the named queue may send its unread messages here."
  }
}

run "rules_send_for_this_account" {
  command = plan

  variables {
    event_rule_arns = ["arn:aws:events:eu-central-1:111122223333:rule/example"]
  }

  assert {
    condition     = jsondecode(aws_sqs_queue.this.policy).Statement[1].Condition.StringEquals["aws:SourceAccount"] == "111122223333"
    error_message = "EventBridge may send for this account's rules only."
  }
}
