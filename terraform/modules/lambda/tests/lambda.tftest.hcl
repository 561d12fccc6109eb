mock_provider "aws" {
  mock_resource "aws_iam_role" {
    override_during = plan
    defaults        = { arn = "arn:aws:iam::111122223333:role/mocked" }
  }
}

variables {
  account            = { partition = "aws", id = "111122223333", region = "eu-central-1" }
  name               = "example"
  description        = "Decides nothing."
  zip_path           = "./variables.tf" # any file
  code_bucket        = "artifacts"
  architecture       = "arm64"
  environment        = {}
  policy_json        = "{\"Statement\":[]}"
  key_arn            = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
  log_key_arn        = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
  log_retention_days = 365
}

run "what_is_given_is_made" {
  command = plan

  variables {
    ephemeral_storage_mb = 10240
    timeout_seconds      = 900
    reserved_concurrency = -1
  }

  assert {
    condition     = aws_lambda_function.this.ephemeral_storage[0].size == 10240 && aws_lambda_function.this.timeout == 900
    error_message = "The function must have the given sizes."
  }
}
