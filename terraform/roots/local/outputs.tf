output "installation" {
  description = "Names, ARNs and addresses of the installation, as the `sluicegate` command and the local run read them; see modules/sluicegate/outputs.tf."
  value       = module.sluicegate.installation
}
