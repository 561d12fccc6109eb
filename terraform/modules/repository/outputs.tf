output "repository" {
  description = "What was enrolled: key, full_name, image without tag, webhook_secret_arn, whose value an operator sets, job_definition_arns and role_arns by environment, the CodeBuild projects and the builds' log groups."
  value = {
    key                 = local.key
    full_name           = var.full_name
    image               = module.registry.image
    webhook_secret_arn  = module.webhook_secret.arn
    job_definition_arns = { for name, environment in module.environment : name => environment.job_definition_arns }
    role_arns           = { for name, environment in module.environment : name => environment.role_arns }
    projects            = module.build.projects
    log_groups          = { for kind, group in module.build.log_groups : "build-${local.key}-${kind}" => group }
  }
  depends_on = [aws_dynamodb_table_item.enrolment]
}

# The following outputs are for the tests.

output "record" {
  description = "The enrolment as the Lambdas read it."
  value       = local.record
}

output "role_policies" {
  description = "The inline policies of all roles as JSON, by environment and role."
  value = merge({ for kind, policy in module.build.policies : "build-${kind}" => policy }, [for name, environment in module.environment :
    { for role, policy in environment.policies : "${name}-${role}" => policy }
  ]...)
}
