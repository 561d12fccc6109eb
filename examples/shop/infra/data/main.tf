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

variable "environment" {
  description = "Name of the environment, as in sluicegate.yaml."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.environment))
    error_message = "environment is part of resource names: 2 to 16 lower-case letters, digits or hyphens, a letter first."
  }
}

resource "aws_dynamodb_table" "items" {
  #checkov:skip=CKV_AWS_119:Encrypted with the key that AWS owns; the items are public and a key of one's own costs more than the table
  name         = "shop-${var.environment}-items"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "key"

  # The table holds the only data here that cannot be recreated.
  deletion_protection_enabled = true

  attribute {
    name = "key"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }
}

output "table_name" {
  description = "Name of the items' table."
  value       = aws_dynamodb_table.items.name
}

output "table_arn" {
  description = "ARN of the items' table."
  value       = aws_dynamodb_table.items.arn
}
