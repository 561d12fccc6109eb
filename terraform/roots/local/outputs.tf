output "installation" {
  description = "The installation, as the `sluicegate` command and the local run read it; see modules/sluicegate/outputs.tf."
  value       = module.sluicegate.installation
}
