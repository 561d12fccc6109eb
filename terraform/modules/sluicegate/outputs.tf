output "webhook_url" {
  description = "Address the forge posts its events to."
  value       = aws_lambda_function_url.webhook.function_url
}

output "status_queue_url" {
  description = "URL of the status queue."
  value       = module.status.url
}

output "status_unread_queue_url" {
  description = "URL of the queue with status messages that no reader could take."
  value       = module.status_unread.url
}

output "events_lost_queue_url" {
  description = "URL of the queue with events that could not be delivered."
  value       = module.events_lost.url
}

output "state_machine_arn" {
  description = "ARN of the state machine."
  value       = module.state_machine.arn
}

output "table_name" {
  description = "Name of the table."
  value       = module.table.name
}

output "buckets" {
  description = "Names of the buckets: artifacts, audit, state, access_logs."
  value = {
    artifacts   = module.artifacts.name
    audit       = module.audit.name
    state       = module.state.name
    access_logs = module.access_logs.name
  }
}

output "secret_arns" {
  description = "ARNs of the secrets, to be filled by the operator: webhook, git."
  value = {
    webhook = module.webhook_secret.arn
    git     = module.git_secret.arn
  }
}

output "images" {
  description = "Names of the images without tag, by repository."
  value       = { for name, registry in module.registry : name => registry.image }
}

output "runner_image" {
  description = "Name of the runner's image without tag."
  value       = module.runner_registry.image
}

output "event_bus_name" {
  description = "Name of the event bus."
  value       = module.events.bus_name
}

output "functions" {
  description = "Names of the Lambdas, by step."
  value       = { for name, step in module.step : name => step.function_name }
}

output "function_environments" {
  description = "Environment variables of the Lambdas, by step."
  value       = { for name, step in module.step : name => step.environment }
}

output "job_queues" {
  description = "Names of the Batch queues: plan, apply."
  value       = module.jobs.queue_names
}

output "job_definitions" {
  description = "Names of the Batch job definitions: plan, apply."
  value       = module.jobs.definition_names
}

output "job_role_arns" {
  description = "Roles of the jobs: plan, apply."
  value       = module.jobs.role_arns
}

output "build_project" {
  description = "Name of the CodeBuild project."
  value       = module.build.project.name
}

output "log_groups" {
  description = "Names of the log groups: each Lambda by its step, and state_machine, jobs, build, network."
  value = merge({ for name, step in module.step : name => step.log_group }, {
    state_machine = module.state_machine.log_group
    jobs          = module.jobs.log_group
    build         = module.build.log_group
    network       = module.network.log_group
  })
}

output "dashboard_name" {
  description = "Name of the CloudWatch dashboard."
  value       = module.alarms.dashboard_name
}

output "definition" {
  description = "The state machine's definition with all placeholders filled in."
  value       = module.state_machine.definition
}

output "role_policies" {
  description = "The inline policies of all roles as JSON, by role."
  value = merge(
    { for name, step in module.step : "lambda-${name}" => step.policy_json },
    { for name, policy in module.jobs.policies : "jobs-${name}" => policy },
    module.build.policies,
    module.state_machine.policies,
    module.events.policies,
    module.network.policies,
  )
}
