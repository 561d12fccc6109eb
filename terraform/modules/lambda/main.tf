resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
}

resource "aws_iam_role" "this" {
  name                 = var.name
  description          = "Role of the Lambda ${var.name}."
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

locals {
  log = {
    Sid      = "Log"
    Effect   = "Allow"
    Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    Resource = "${aws_cloudwatch_log_group.this.arn}:*"
  }

  # X-Ray has no resource types.
  trace = {
    Sid      = "Trace"
    Effect   = "Allow"
    Action   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    Resource = "*"
  }

  dead_letters = [for end in var.dead_letter == null ? [] : [var.dead_letter] : {
    Sid      = "DeadLetters"
    Effect   = "Allow"
    Action   = ["sqs:SendMessage"]
    Resource = end.queue_arn
  }]

  dead_letters_key = [for end in var.dead_letter == null ? [] : [var.dead_letter] : {
    Sid       = "DeadLettersKey"
    Effect    = "Allow"
    Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource  = end.key_arn
    Condition = { StringEquals = { "kms:ViaService" = "sqs.${var.account.region}.amazonaws.com" } }
  }]
}

resource "aws_iam_role_policy" "this" {
  name = "needs"
  role = aws_iam_role.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [local.log, local.trace],
      local.dead_letters,
      local.dead_letters_key,
      jsondecode(var.policy_json).Statement,
    )
  })
}

# Uploaded to S3: a direct upload is limited to 50 MB, and the provider then creates one function at a time.
resource "aws_s3_object" "zip" {
  bucket      = var.code_bucket
  key         = "functions/${var.name}/${filesha256(var.zip_path)}.zip"
  source      = var.zip_path
  source_hash = filesha256(var.zip_path)
  kms_key_id  = var.key_arn

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_116:Only asynchronous calls need a dead-letter queue; the caller of a synchronous call gets the error. Set by var.dead_letter.
  #checkov:skip=CKV_AWS_117:Calls only AWS and the forge; a VPC would add a NAT gateway and protect nothing.
  #checkov:skip=CKV_AWS_272:The same person or pipeline builds and uploads the zip, so a signature would prove nothing more.
  function_name                  = var.name
  description                    = var.description
  role                           = aws_iam_role.this.arn
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  architectures                  = [var.architecture]
  s3_bucket                      = aws_s3_object.zip.bucket
  s3_key                         = aws_s3_object.zip.key
  source_code_hash               = filebase64sha256(var.zip_path)
  memory_size                    = var.memory_mb
  timeout                        = var.timeout_seconds
  reserved_concurrent_executions = var.reserved_concurrency
  kms_key_arn                    = var.key_arn
  publish                        = true

  environment {
    variables = var.environment
  }

  ephemeral_storage {
    size = var.ephemeral_storage_mb
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.this.name
  }

  tracing_config {
    mode = "Active"
  }

  dynamic "dead_letter_config" {
    for_each = var.dead_letter == null ? [] : [var.dead_letter]

    content {
      target_arn = dead_letter_config.value.queue_arn
    }
  }

  depends_on = [aws_iam_role_policy.this]
}

resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "The version that is called."
  function_name    = aws_lambda_function.this.function_name
  function_version = aws_lambda_function.this.version
}
