output "installation" {
  description = "The installation, as the `sluicegate` command reads it; see modules/sluicegate/outputs.tf."
  value = merge(module.sluicegate.installation, {
    repositories = { for key, enrolled in module.repository : key => enrolled.repository }
    log_groups   = merge(module.sluicegate.installation.log_groups, [for enrolled in module.repository : enrolled.repository.log_groups]...)
  })
}

output "webhook_url" {
  description = "Address that the forge posts events to."
  value       = module.sluicegate.installation.webhook_url
}

output "runner_image" {
  description = "Name of the runner's image, without its tag."
  value       = module.sluicegate.runner_image
}
