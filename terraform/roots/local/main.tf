# The same module as on AWS. The emulator and the stand-ins are reached by AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_BATCH and
# AWS_ENDPOINT_URL_CODEBUILD in the environment; nothing else differs but sizes.

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

  name            = var.name
  repositories    = var.repositories
  artifacts_dir   = var.artifacts_dir
  architecture    = var.architecture
  registry_host   = var.registry_host
  forge_url       = var.forge_url
  log_level       = var.log_level
  runner          = var.runner
  job_sizes       = var.job_sizes
  build           = { architecture = var.architecture }
  lambda_settings = var.lambda_settings

  # What is made locally is thrown away: no protection, no lock on the audit that would outlive it.
  protect   = false
  retention = { log_days = 365, run_days = 365, noncurrent_days = 30, audit_lock_days = 1 }
}
