output "arn" {
  description = "ARN of the state machine."
  value       = aws_sfn_state_machine.this.arn
}

output "definition" {
  description = "The definition with all placeholders filled in."
  value       = aws_sfn_state_machine.this.definition
}

output "log_group" {
  description = "Name of the log group."
  value       = aws_cloudwatch_log_group.this.name
}

output "policies" {
  description = "The roles' policies as JSON, by role."
  value       = { machine = aws_iam_role_policy.this.policy }
}
