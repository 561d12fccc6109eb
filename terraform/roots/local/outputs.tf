output "installation" {
  description = "The installation, as the `sluicegate` command and the local run read it; see modules/sluicegate/outputs.tf."
  value = merge(module.sluicegate.installation, {
    repositories = { for key, enrolled in module.repository : key => enrolled.repository }
    log_groups   = merge(module.sluicegate.installation.log_groups, [for enrolled in module.repository : enrolled.repository.log_groups]...)
  })
}
