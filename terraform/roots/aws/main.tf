provider "aws" {
  region = var.region

  default_tags {
    tags = {
      project      = "sluicegate"
      installation = var.name
    }
  }
}

module "sluicegate" {
  source = "../../modules/sluicegate"

  name             = var.name
  repositories     = var.repositories
  lambda_zip       = var.lambda_zip
  architecture     = var.architecture
  forge_url        = var.forge_url
  log_level        = var.log_level
  runner           = var.runner
  job_sizes        = var.job_sizes
  job_policies     = var.job_policies
  build            = var.build
  lambda_settings  = var.lambda_settings
  network_cidr     = var.network_cidr
  zones            = var.zones
  retention        = var.retention
  protect          = var.protect
  alarm_topic_arns = var.alarm_topic_arns
}
