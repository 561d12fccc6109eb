mock_provider "aws" {
  mock_resource "aws_iam_role" {
    override_during = plan
    defaults        = { arn = "arn:aws:iam::111122223333:role/mocked" }
  }
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
