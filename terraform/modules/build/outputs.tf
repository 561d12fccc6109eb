output "project" {
  description = "Name and ARN of the CodeBuild project."
  value = {
    name = aws_codebuild_project.this.name
    arn  = aws_codebuild_project.this.arn
  }
}

output "log_group" {
  description = "Name of the builds' log group."
  value       = aws_cloudwatch_log_group.this.name
}

output "policies" {
  description = "The roles' policies as JSON, by role."
  value       = { build = aws_iam_role_policy.this.policy }
}
