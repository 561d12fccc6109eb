output "queues" {
  description = "ARNs and names of the job queues, by kind of job."
  value       = { for kind, queue in aws_batch_job_queue.this : kind => { arn = queue.arn, name = queue.name } }
}

output "definitions" {
  description = "What the job definitions of all environments share; the variable `jobs` of the module `environment`."
  value = {
    image              = var.image
    architecture       = var.architecture
    environment        = var.environment
    user               = var.user
    sizes              = var.sizes
    attempts           = local.attempts
    exits              = local.exits
    execution_role_arn = aws_iam_role.execution.arn
    log_group          = aws_cloudwatch_log_group.this.name
  }
}

output "log_group" {
  description = "Name of the jobs' log group."
  value       = aws_cloudwatch_log_group.this.name
}

output "policies" {
  description = "The roles' policies as JSON, by role."
  value       = { execution = aws_iam_role_policy.execution.policy }
}
