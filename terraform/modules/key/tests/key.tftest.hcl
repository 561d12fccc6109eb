mock_provider "aws" {}

run "rotates_and_belongs_to_the_account" {
  command = plan

  assert {
    condition     = aws_kms_key.this.enable_key_rotation
    error_message = "The key must be rotated."
  }

  assert {
    condition     = [for statement in jsondecode(aws_kms_key.this.policy).Statement : statement.Principal] == [{ AWS = "arn:aws:iam::111122223333:root" }]
    error_message = "Without grants only the account, by its IAM policies, may use the key."
  }
}

run "services_only_for_this_account" {
  command = plan

  variables {
    service_grants = [{
      sid       = "Rules"
      service   = "events.amazonaws.com"
      actions   = ["kms:Decrypt"]
      condition = { test = "StringEquals", variable = "aws:SourceAccount", values = ["111122223333"] }
    }]
  }

  assert {
    condition     = jsondecode(aws_kms_key.this.policy).Statement[1].Condition == { StringEquals = { "aws:SourceAccount" = ["111122223333"] } }
    error_message = "A service's use of the key must be tied to a condition."
  }
}
