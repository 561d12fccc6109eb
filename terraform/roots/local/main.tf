# The same module as on AWS. AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_BATCH and AWS_ENDPOINT_URL_CODEBUILD in the environment
# lead to the emulator and the fakes; apart from that, only sizes and protection differ.

provider "aws" {
  region            = var.region
  access_key        = "test"
  secret_key        = "test"
  s3_use_path_style = true

  skip_credentials_validation = true
  skip_metadata_api_check     = true

  default_tags {
    tags = {
      project      = "sluicegate"
      installation = var.name
    }
  }
}

module "sluicegate" {
  source = "../../modules/sluicegate"

  name          = var.name
  lambda_zip    = var.lambda_zip
  architecture  = var.architecture
  registry_host = var.registry_host
  forge_url     = var.forge_url
  log_level     = var.log_level
  runner        = var.runner
  build         = { architecture = var.architecture, environment_image = var.build_image }

  # A local run is deleted after use: no protection, and no lock on the audit that would outlive it.
  protect   = false
  retention = { log_days = 365, run_days = 365, noncurrent_days = 30, audit_lock_days = 1 }
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
