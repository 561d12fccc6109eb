output "jobs" {
  description = "ARNs of the queues and job definitions, for the state machine."
  value = {
    plan_queue_arn       = aws_batch_job_queue.this["plan"].arn
    apply_queue_arn      = aws_batch_job_queue.this["apply"].arn
    plan_definition_arn  = aws_batch_job_definition.this["plan"].arn
    apply_definition_arn = aws_batch_job_definition.this["apply"].arn
  }
}

output "queue_names" {
  description = "Names of the job queues, by kind of job."
  value       = { for kind, queue in aws_batch_job_queue.this : kind => queue.name }
}

output "definition_names" {
  description = "Names of the job definitions, by kind of job."
  value       = { for kind, definition in aws_batch_job_definition.this : kind => definition.name }
}

output "role_arns" {
  description = "ARNs of the jobs' roles: plan, apply."
  value = {
    plan  = aws_iam_role.plan.arn
    apply = aws_iam_role.apply.arn
  }
}

output "log_group" {
  description = "Name of the jobs' log group."
  value       = aws_cloudwatch_log_group.this.name
}

output "policies" {
  description = "The roles' policies as JSON, by role."
  value = {
    execution = aws_iam_role_policy.execution.policy
    plan      = aws_iam_role_policy.plan.policy
    apply     = aws_iam_role_policy.apply.policy
  }
}
