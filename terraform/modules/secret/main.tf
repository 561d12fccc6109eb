# Created empty: the value is set by the operator and never stands in Terraform's state.
resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:The other end (GitHub) cannot be rotated by a Lambda; the README says how a person rotates it without a gap.
  name                    = var.name
  description             = var.description
  kms_key_id              = var.key_arn
  recovery_window_in_days = var.recovery_days
}
