module "webhook" {
  source = "../lambda"

  account              = local.account
  name                 = "${var.name}-webhook"
  description          = "Checks a forge event by its signature and puts it on the bus."
  zip_path             = "${var.artifacts_dir}/webhook.zip"
  code_bucket          = module.artifacts.name
  architecture         = var.architecture
  memory_mb            = local.lambda["webhook"].memory_mb
  timeout_seconds      = local.lambda["webhook"].timeout_seconds
  reserved_concurrency = local.lambda["webhook"].reserved_concurrency
  ephemeral_storage_mb = local.lambda["webhook"].ephemeral_storage_mb
  key_arn              = module.key_data.arn
  log_key_arn          = module.key_logs.arn
  log_retention_days   = var.retention.log_days

  environment = merge(local.env_log, {
    SLUICEGATE_TABLE              = module.table.name
    SLUICEGATE_EVENT_BUS          = var.name
    SLUICEGATE_WEBHOOK_SECRET_ARN = module.webhook_secret.arn
    SLUICEGATE_REPOSITORIES       = local.enrolled
  })

  policy_json = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Bus"
        Effect   = "Allow"
        Action   = ["events:PutEvents"]
        Resource = "arn:${local.account.partition}:events:${local.region_account}:event-bus/${var.name}"
      },
      {
        Sid      = "Secret"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = module.webhook_secret.arn
      },
      {
        Sid       = "SecretKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = module.key_secrets.arn
        Condition = local.via.secretsmanager
      },
      {
        Sid       = "Deliveries"
        Effect    = "Allow"
        Action    = ["dynamodb:GetItem", "dynamodb:PutItem"]
        Resource  = module.table.arn
        Condition = { "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = ["DELIVERY#*"] } }
      },
      {
        Sid       = "DeliveriesKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = module.key_data.arn
        Condition = local.via.dynamodb
      },
    ]
  })
}

# The address the forge posts to. No IAM: the forge cannot sign for it; the Lambda checks the signature over the raw body.

resource "aws_lambda_function_url" "webhook" {
  #checkov:skip=CKV_AWS_258:The forge cannot sign requests for IAM; the Lambda checks its HMAC signature before anything else.
  function_name      = module.webhook.function_name
  qualifier          = module.webhook.alias_name
  authorization_type = "NONE"
}

resource "aws_lambda_permission" "webhook_url" {
  #checkov:skip=CKV_AWS_301:Public by purpose: the forge posts from changing addresses; the Lambda checks its signature.
  statement_id           = "url"
  action                 = "lambda:InvokeFunctionUrl"
  function_name          = module.webhook.function_name
  qualifier              = module.webhook.alias_name
  principal              = "*"
  function_url_auth_type = "NONE"
}

# Since October 2025 an address needs a second permission, lambda:InvokeFunction, limited to calls through the address.
# This provider's aws_lambda_permission cannot say the limit (it came with 6.29), CloudFormation can.
resource "aws_cloudformation_stack" "webhook_url" {
  #checkov:skip=CKV_AWS_124:One permission; Terraform reports its failure.
  name = "${var.name}-webhook-url"
  template_body = jsonencode({
    AWSTemplateFormatVersion = "2010-09-09"
    Description              = "Lets the webhook's address call its Lambda."
    Resources = {
      InvokeThroughAddress = {
        Type = "AWS::Lambda::Permission"
        Properties = {
          Action                = "lambda:InvokeFunction"
          FunctionName          = module.webhook.alias_arn
          Principal             = "*"
          InvokedViaFunctionUrl = true
        }
      }
    }
  })
}
