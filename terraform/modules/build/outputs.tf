output "projects" {
  description = "Names of the CodeBuild projects: test and image."
  value       = { for kind, project in aws_codebuild_project.this : kind => project.name }
}

output "log_groups" {
  description = "Names of the builds' log groups: test and image."
  value       = { for kind, group in aws_cloudwatch_log_group.this : kind => group.name }
}

output "policies" {
  description = "The roles' policies as JSON: test and image."
  value       = { for kind, policy in aws_iam_role_policy.this : kind => policy.policy }
}
