terraform {
  required_version = ">= 1.10"

  # The pipeline configures the backend.
  backend "s3" {}

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

data "aws_region" "current" {}

data "aws_partition" "current" {}

data "aws_caller_identity" "current" {}

locals {
  name      = "shop-${var.environment}"
  port      = 8080
  region    = data.aws_region.current.name
  partition = data.aws_partition.current.partition
  account   = data.aws_caller_identity.current.account_id

  # Built here, not taken from the parameters: a new text must not look like a new ARN.
  parameter_arn = "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter"

  # Parameters by full name. Nothing changes them at run time: a change of this line is a delivery.
  parameters = { "/${local.name}/greeting" = "welcome" }
}

# One resource per parameter, so that one of them can be refused while the others are created.
resource "aws_ssm_parameter" "this" {
  #checkov:skip=CKV2_AWS_34:The texts are shown to every visitor, there is nothing to encrypt
  for_each = local.parameters

  name  = each.key
  type  = "String"
  value = each.value
}
