output "job_definition_arns" {
  description = "ARNs of the job definitions with their revision, by kind of job."
  value       = { for kind, definition in aws_batch_job_definition.this : kind => definition.arn }
}

output "role_arns" {
  description = "ARNs of the roles: plan, apply, deploy."
  value = {
    plan   = aws_iam_role.plan.arn
    apply  = aws_iam_role.apply.arn
    deploy = aws_iam_role.deploy.arn
  }
}

output "policies" {
  description = "The roles' policies as JSON, by role."
  value = {
    plan   = aws_iam_role_policy.plan.policy
    apply  = aws_iam_role_policy.apply.policy
    deploy = aws_iam_role_policy.deploy.policy
  }
}
