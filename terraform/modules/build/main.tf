locals {
  # AWS's images with docker, by architecture. The newer lines (x86_64 6.0, aarch64 4.0) make other image indexes by default
  # and are not tried here.
  environment = {
    arm64  = { type = "ARM_CONTAINER", image = "aws/codebuild/amazonlinux-aarch64-standard:3.0" }
    x86_64 = { type = "LINUX_CONTAINER", image = "aws/codebuild/amazonlinux-x86_64-standard:5.0" }
  }[var.architecture]

  # Both read sealed sources and write their own log. Only the image's project can push, and runs docker.
  projects = {
    test = {
      description = "Tests sealed sources. Cannot push images."
      privileged  = false
      statements  = []
    }
    image = {
      description = "Builds images from sealed sources and pushes them."
      privileged  = true
      statements = [
        {
          # ECR has no resource types for this call.
          Sid      = "RegistryToken"
          Effect   = "Allow"
          Action   = ["ecr:GetAuthorizationToken"]
          Resource = "*"
        },
        {
          Sid    = "Images"
          Effect = "Allow"
          Action = [
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:CompleteLayerUpload",
            "ecr:DescribeImages",
            "ecr:GetDownloadUrlForLayer",
            "ecr:InitiateLayerUpload",
            "ecr:PutImage",
            "ecr:UploadLayerPart",
          ]
          Resource = var.registry_arn
        },
      ]
    }
  }
}

resource "aws_cloudwatch_log_group" "this" {
  for_each = local.projects

  # The Lambda build-trigger derives this name from the project's.
  name              = "/aws/codebuild/${var.name}-${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
}

resource "aws_iam_role" "this" {
  for_each = local.projects

  name        = "${var.name}-${each.key}"
  description = each.value.description
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "codebuild.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = var.account.id }
        ArnLike      = { "aws:SourceArn" = "arn:${var.account.partition}:codebuild:${var.account.region}:${var.account.id}:project/${var.name}-${each.key}" }
      }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  for_each = local.projects

  name = "needs"
  role = aws_iam_role.this[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "Sources"
          Effect   = "Allow"
          Action   = ["s3:GetObject", "s3:GetObjectVersion"]
          Resource = var.sources.arn
        },
        {
          Sid       = "SourcesKey"
          Effect    = "Allow"
          Action    = ["kms:Decrypt"]
          Resource  = var.sources.key_arn
          Condition = { StringEquals = { "kms:ViaService" = "s3.${var.account.region}.amazonaws.com" } }
        },
        {
          Sid      = "Log"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = "${aws_cloudwatch_log_group.this[each.key].arn}:*"
        },
      ],
      each.value.statements,
    )
  })
}

resource "aws_codebuild_project" "this" {
  #checkov:skip=CKV_AWS_316:`docker build` needs it; only the project of the image has it, and its role can only read sources and push to one repository.
  for_each = local.projects

  name                   = "${var.name}-${each.key}"
  description            = each.value.description
  service_role           = aws_iam_role.this[each.key].arn
  build_timeout          = var.timeout_minutes
  queued_timeout         = var.queued_timeout_minutes
  encryption_key         = var.key_arn
  concurrent_build_limit = var.concurrent_build_limit

  # Each build overrides the source with a sealed archive. The buildspec is always this one, not one in the archive.
  source {
    type      = "NO_SOURCE"
    buildspec = file("${path.module}/${each.key}.yml")
  }

  artifacts {
    type = "NO_ARTIFACTS"
  }

  environment {
    type            = local.environment.type
    image           = coalesce(var.environment_image, local.environment.image)
    compute_type    = var.compute_type
    privileged_mode = each.value.privileged
  }

  logs_config {
    cloudwatch_logs {
      status     = "ENABLED"
      group_name = aws_cloudwatch_log_group.this[each.key].name
    }
  }

  depends_on = [aws_iam_role_policy.this]
}
