# Created empty: the operator sets the value, which is never in Terraform's state.
resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:A Lambda cannot change the value on GitHub's side; the README describes the rotation by a person.
  name                    = var.name
  description             = var.description
  kms_key_id              = var.key_arn
  recovery_window_in_days = var.recovery_days
}
