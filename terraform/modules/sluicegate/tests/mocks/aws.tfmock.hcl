# What AWS would return, so that plans know ARNs and tests can read policies.

mock_data "aws_partition" {
  defaults = { partition = "aws" }
}

mock_data "aws_caller_identity" {
  defaults = { account_id = "111122223333" }
}

mock_data "aws_region" {
  defaults = { name = "eu-central-1" }
}

mock_resource "aws_kms_key" {
  override_during = plan
  defaults        = { arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555" }
}

mock_resource "aws_s3_bucket" {
  override_during = plan
  defaults        = { arn = "arn:aws:s3:::mocked-bucket", id = "mocked-bucket" }
}

mock_resource "aws_dynamodb_table" {
  override_during = plan
  defaults        = { arn = "arn:aws:dynamodb:eu-central-1:111122223333:table/mocked" }
}

mock_resource "aws_sqs_queue" {
  override_during = plan
  defaults = {
    arn = "arn:aws:sqs:eu-central-1:111122223333:mocked"
    id  = "https://sqs.eu-central-1.amazonaws.com/111122223333/mocked"
    url = "https://sqs.eu-central-1.amazonaws.com/111122223333/mocked"
  }
}

mock_resource "aws_secretsmanager_secret" {
  override_during = plan
  defaults        = { arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:mocked-abcdef" }
}

mock_resource "aws_cloudwatch_log_group" {
  override_during = plan
  defaults        = { arn = "arn:aws:logs:eu-central-1:111122223333:log-group:mocked" }
}

mock_resource "aws_iam_role" {
  override_during = plan
  defaults        = { arn = "arn:aws:iam::111122223333:role/mocked" }
}

mock_resource "aws_lambda_function" {
  override_during = plan
  defaults        = { arn = "arn:aws:lambda:eu-central-1:111122223333:function:mocked", version = "7" }
}

mock_resource "aws_lambda_alias" {
  override_during = plan
  defaults        = { arn = "arn:aws:lambda:eu-central-1:111122223333:function:mocked:live" }
}

mock_resource "aws_lambda_function_url" {
  override_during = plan
  defaults        = { function_url = "https://mocked.lambda-url.eu-central-1.on.aws/" }
}

mock_resource "aws_ecr_repository" {
  override_during = plan
  defaults = {
    arn            = "arn:aws:ecr:eu-central-1:111122223333:repository/mocked"
    repository_url = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/mocked"
  }
}

mock_resource "aws_batch_compute_environment" {
  override_during = plan
  defaults        = { arn = "arn:aws:batch:eu-central-1:111122223333:compute-environment/mocked" }
}

mock_resource "aws_batch_job_queue" {
  override_during = plan
  defaults        = { arn = "arn:aws:batch:eu-central-1:111122223333:job-queue/mocked" }
}

mock_resource "aws_batch_job_definition" {
  override_during = plan
  defaults        = { arn = "arn:aws:batch:eu-central-1:111122223333:job-definition/mocked:3" }
}

mock_resource "aws_codebuild_project" {
  override_during = plan
  defaults        = { arn = "arn:aws:codebuild:eu-central-1:111122223333:project/mocked" }
}

mock_resource "aws_sfn_state_machine" {
  override_during = plan
  defaults        = { arn = "arn:aws:states:eu-central-1:111122223333:stateMachine:mocked" }
}

mock_resource "aws_cloudwatch_event_rule" {
  override_during = plan
  defaults        = { arn = "arn:aws:events:eu-central-1:111122223333:rule/mocked" }
}

mock_resource "aws_cloudwatch_event_bus" {
  override_during = plan
  defaults        = { arn = "arn:aws:events:eu-central-1:111122223333:event-bus/mocked" }
}

mock_resource "aws_vpc" {
  override_during = plan
  defaults        = { id = "vpc-0123456789abcdef0", arn = "arn:aws:ec2:eu-central-1:111122223333:vpc/vpc-0123456789abcdef0" }
}

mock_resource "aws_subnet" {
  override_during = plan
  defaults        = { id = "subnet-0123456789abcdef0", arn = "arn:aws:ec2:eu-central-1:111122223333:subnet/subnet-0123456789abcdef0" }
}

mock_resource "aws_security_group" {
  override_during = plan
  defaults        = { id = "sg-0123456789abcdef0", arn = "arn:aws:ec2:eu-central-1:111122223333:security-group/sg-0123456789abcdef0" }
}

mock_resource "aws_internet_gateway" {
  override_during = plan
  defaults        = { id = "igw-0123456789abcdef0", arn = "arn:aws:ec2:eu-central-1:111122223333:internet-gateway/igw-0123456789abcdef0" }
}

mock_resource "aws_route_table" {
  override_during = plan
  defaults        = { id = "rtb-0123456789abcdef0", arn = "arn:aws:ec2:eu-central-1:111122223333:route-table/rtb-0123456789abcdef0" }
}

mock_resource "aws_flow_log" {
  override_during = plan
  defaults        = { id = "fl-0123456789abcdef0", arn = "arn:aws:ec2:eu-central-1:111122223333:vpc-flow-log/fl-0123456789abcdef0" }
}

mock_resource "aws_vpc_endpoint" {
  override_during = plan
  defaults        = { id = "vpce-0123456789abcdef0", arn = "arn:aws:ec2:eu-central-1:111122223333:vpc-endpoint/vpce-0123456789abcdef0" }
}
