locals {
  # AWS's newest images with docker, by architecture.
  environment = {
    arm64  = { type = "ARM_CONTAINER", image = "aws/codebuild/amazonlinux-aarch64-standard:3.0" }
    x86_64 = { type = "LINUX_CONTAINER", image = "aws/codebuild/amazonlinux-x86_64-standard:5.0" }
  }[var.architecture]
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/codebuild/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
}

resource "aws_iam_role" "this" {
  name        = "${var.name}-project"
  description = "Role of builds: reads sealed sources, pushes images."
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "codebuild.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = var.account.id }
        ArnLike      = { "aws:SourceArn" = "arn:${var.account.partition}:codebuild:${var.account.region}:${var.account.id}:project/${var.name}" }
      }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name = "needs"
  role = aws_iam_role.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Sources"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:GetObjectVersion"]
        Resource = "${var.artifacts.arn}/sources/*"
      },
      {
        Sid       = "SourcesKey"
        Effect    = "Allow"
        Action    = "kms:Decrypt"
        Resource  = var.artifacts.key_arn
        Condition = { StringEquals = { "kms:ViaService" = "s3.${var.account.region}.amazonaws.com" } }
      },
      {
        # ECR has no resource types for this call.
        Sid      = "RegistryToken"
        Effect   = "Allow"
        Action   = "ecr:GetAuthorizationToken"
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
        Resource = var.registry_arns
      },
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.this.arn}:*"
      },
    ]
  })
}

resource "aws_codebuild_project" "this" {
  #checkov:skip=CKV_AWS_316:`docker build` needs it; the project's role can only read sources and push images.
  name                   = var.name
  description            = "Tests a sealed source archive and builds its image."
  service_role           = aws_iam_role.this.arn
  build_timeout          = var.timeout_minutes
  queued_timeout         = var.queued_timeout_minutes
  encryption_key         = var.key_arn
  concurrent_build_limit = var.concurrent_build_limit

  # Each build overrides the source: `<bucket>/sources/<sha256>.zip`. The buildspec is always this one, not one in the archive.
  source {
    type      = "NO_SOURCE"
    buildspec = file("${path.module}/buildspec.yml")
  }

  artifacts {
    type = "NO_ARTIFACTS"
  }

  environment {
    type            = local.environment.type
    image           = coalesce(var.environment_image, local.environment.image)
    compute_type    = var.compute_type
    privileged_mode = true
  }

  logs_config {
    cloudwatch_logs {
      status     = "ENABLED"
      group_name = aws_cloudwatch_log_group.this.name
    }
  }

  depends_on = [aws_iam_role_policy.this]
}
