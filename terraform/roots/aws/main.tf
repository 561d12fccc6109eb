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
  lambda_zip       = var.lambda_zip
  architecture     = var.architecture
  forge_url        = var.forge_url
  log_level        = var.log_level
  runner           = var.runner
  job_sizes        = var.job_sizes
  build            = var.build
  lambda_settings  = var.lambda_settings
  network_cidr     = var.network_cidr
  zones            = var.zones
  retention        = var.retention
  protect          = var.protect
  alarm_topic_arns = var.alarm_topic_arns
}

module "repository" {
  source   = "../../modules/repository"
  for_each = { for repository in var.repositories : "${try(repository.forge, "github")}-${repository.id}" => repository }

  installation     = module.sluicegate.enrolment
  forge            = try(each.value.forge, "github")
  id               = each.value.id
  full_name        = each.value.full_name
  clone_url        = try(each.value.clone_url, null)
  image_repository = try(each.value.image_repository, null)
  environments     = each.value.environments
}
