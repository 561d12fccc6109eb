output "installation" {
  description = <<-EOT
    What the roots export: webhook_url, which the forge posts events to; URLs of the queues; state_machine_arn, table_name,
    event_bus_name and dashboard_name; buckets (artifacts, audit, state, access_logs); secret_arns (git, whose value an
    operator sets); functions, their names by step; log_groups by step, and state_machine, jobs, network; job_queues by kind.
  EOT
  value = {
    webhook_url             = aws_lambda_function_url.webhook.function_url
    status_queue_url        = module.status.url
    status_unread_queue_url = module.status_unread.url
    events_lost_queue_url   = module.events_lost.url
    state_machine_arn       = module.state_machine.arn
    table_name              = module.table.name
    event_bus_name          = module.events.bus_name
    dashboard_name          = module.alarms.dashboard_name
    functions               = { for name, step in module.step : name => step.function_name }
    job_queues              = { for kind, queue in module.jobs.queues : kind => queue.name }

    buckets = {
      artifacts   = module.artifacts.name
      audit       = module.audit.name
      state       = module.state.name
      access_logs = module.access_logs.name
    }

    secret_arns = { git = module.git_secret.arn }

    log_groups = merge({ for name, step in module.step : name => step.log_group }, {
      state_machine = module.state_machine.log_group
      jobs          = module.jobs.log_group
      network       = module.network.log_group
    })
  }
}

output "enrolment" {
  description = "What the module `repository` needs to enrol a repository."
  value       = local.enrolment
}

# Apart from `installation`, which is complete only when everything exists: the image is pushed before that.
output "runner_image" {
  description = "Name of the runner's image, without its tag."
  value       = module.runner_registry.image
}

# The following outputs are for the tests.

output "function_environments" {
  description = "Environment variables of the Lambdas, by step."
  value       = { for name, step in module.step : name => step.environment }
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
    module.state_machine.policies,
    module.network.policies,
  )
}
