terraform {
  required_version = ">= 1.10"

  # `terraform init -backend-config=...` sets bucket and region, see ../../README.md.
  backend "s3" {
    key          = "sluicegate/installation.tfstate"
    encrypt      = true
    use_lockfile = true
  }

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}
