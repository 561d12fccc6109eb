output "webhook_url" {
  description = "Address the forge posts its events to."
  value       = module.sluicegate.webhook_url
}

output "status_queue_url" {
  description = "URL of the status queue."
  value       = module.sluicegate.status_queue_url
}

output "status_unread_queue_url" {
  description = "URL of the queue with status messages that no reader could take."
  value       = module.sluicegate.status_unread_queue_url
}

output "events_lost_queue_url" {
  description = "URL of the queue with events that could not be delivered."
  value       = module.sluicegate.events_lost_queue_url
}

output "state_machine_arn" {
  description = "ARN of the state machine."
  value       = module.sluicegate.state_machine_arn
}

output "table_name" {
  description = "Name of the table."
  value       = module.sluicegate.table_name
}

output "buckets" {
  description = "Names of the buckets: artifacts, audit, state, access_logs."
  value       = module.sluicegate.buckets
}

output "secret_arns" {
  description = "ARNs of the secrets, to be filled by the operator: webhook, git."
  value       = module.sluicegate.secret_arns
}

output "images" {
  description = "Names of the images without tag, by repository."
  value       = module.sluicegate.images
}

output "runner_image" {
  description = "Name of the runner's image without tag."
  value       = module.sluicegate.runner_image
}

output "event_bus_name" {
  description = "Name of the event bus."
  value       = module.sluicegate.event_bus_name
}

output "functions" {
  description = "Names of the Lambdas, by step."
  value       = module.sluicegate.functions
}

output "function_environments" {
  description = "Environment variables of the Lambdas, by step."
  value       = module.sluicegate.function_environments
}

output "job_queues" {
  description = "Names of the Batch queues: plan, apply."
  value       = module.sluicegate.job_queues
}

output "job_definitions" {
  description = "Names of the Batch job definitions: plan, apply."
  value       = module.sluicegate.job_definitions
}

output "job_role_arns" {
  description = "Roles of the jobs: plan, apply."
  value       = module.sluicegate.job_role_arns
}

output "build_project" {
  description = "Name of the CodeBuild project."
  value       = module.sluicegate.build_project
}

output "log_groups" {
  description = "Names of the log groups: each Lambda by its step, and state_machine, jobs, build, network."
  value       = module.sluicegate.log_groups
}

output "dashboard_name" {
  description = "Name of the CloudWatch dashboard."
  value       = module.sluicegate.dashboard_name
}
