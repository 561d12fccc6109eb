locals {
  account_statement = {
    Sid       = "AccountByIam"
    Effect    = "Allow"
    Principal = { AWS = "arn:${var.account.partition}:iam::${var.account.id}:root" }
    Action    = "kms:*"
    Resource  = "*"
  }

  service_statements = [for grant in var.service_grants : {
    Sid       = grant.sid
    Effect    = "Allow"
    Principal = { Service = grant.service }
    Action    = grant.actions
    Resource  = "*"
    Condition = { (grant.condition.test) = { (grant.condition.variable) = grant.condition.values } }
  }]
}

resource "aws_kms_key" "this" {
  description             = var.description
  deletion_window_in_days = var.deletion_window_days
  enable_key_rotation     = true
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat([local.account_statement], local.service_statements)
  })
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}
