resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_144:One region by design; the audit is also on a branch of the delivered repository.
  #checkov:skip=CKV2_AWS_62:Nothing reacts to objects; the state machine drives all work.
  #checkov:skip=CKV_AWS_18:Set by aws_s3_bucket_logging below, except for the log bucket itself.
  #checkov:skip=CKV_AWS_145:Set by aws_s3_bucket_server_side_encryption_configuration below; the log bucket uses SSE-S3, which S3 log delivery requires.
  bucket              = var.name
  force_destroy       = var.force_destroy
  object_lock_enabled = var.object_lock_days != null
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    bucket_key_enabled = var.key_arn != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.key_arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

locals {
  bucket_arn = "arn:${var.account.partition}:s3:::${var.name}"

  tls_only = {
    Sid       = "TlsOnly"
    Effect    = "Deny"
    Principal = "*"
    Action    = "s3:*"
    Resource  = [local.bucket_arn, "${local.bucket_arn}/*"]
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }

  # The denials in the roles' policies name the bucket. A request through an access point names the access point instead.
  no_access_points = {
    Sid       = "NoAccessPoints"
    Effect    = "Deny"
    Principal = "*"
    Action    = "s3:*"
    Resource  = [local.bucket_arn, "${local.bucket_arn}/*"]
    Condition = { Null = { "s3:DataAccessPointArn" = "false" } }
  }

  # A role of a job has these tags. What it may not reach is denied here too, whatever its own policies allow.
  own_prefix = { for kind, patterns in var.job_prefixes : kind => [for pattern in patterns :
    replace(replace(pattern, "{repository}", "$${aws:PrincipalTag/sluicegate-repository}"), "{environment}", "$${aws:PrincipalTag/sluicegate-environment}")
  ] }

  jobs_reach_their_own = [for patterns in length(var.job_prefixes.objects) == 0 ? [] : [local.own_prefix] : [
    {
      Sid         = "JobsReachTheirOwnObjects"
      Effect      = "Deny"
      Principal   = "*"
      Action      = "s3:*"
      NotResource = concat([local.bucket_arn], [for pattern in patterns.objects : "${local.bucket_arn}/${pattern}"])
      Condition   = { Null = { "aws:PrincipalTag/sluicegate-repository" = "false" } }
    },
    {
      Sid       = "JobsListTheirOwnObjects"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:ListBucket", "s3:ListBucketVersions"]
      Resource  = local.bucket_arn
      Condition = {
        Null          = { "aws:PrincipalTag/sluicegate-repository" = "false" }
        StringNotLike = { "s3:prefix" = patterns.lists }
      }
    },
  ]]

  log_delivery = {
    Sid       = "AccessLogDelivery"
    Effect    = "Allow"
    Principal = { Service = "logging.s3.amazonaws.com" }
    Action    = "s3:PutObject"
    Resource  = "${local.bucket_arn}/*"
    Condition = { StringEquals = { "aws:SourceAccount" = var.account.id } }
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [local.tls_only, local.no_access_points],
      flatten(local.jobs_reach_their_own),
      [for statement in [local.log_delivery] : statement if var.receives_access_logs],
    )
  })

  # S3 refuses concurrent changes of the policy and of the public access block.
  depends_on = [aws_s3_bucket_public_access_block.this]
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  #checkov:skip=CKV_AWS_300:The rule old-versions aborts incomplete uploads of the whole bucket; the check sees only the dynamic rules.
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }

  dynamic "rule" {
    for_each = var.expirations

    content {
      id     = rule.value.id
      status = "Enabled"

      filter {
        prefix = rule.value.tag == null ? rule.value.prefix : null

        dynamic "tag" {
          for_each = rule.value.tag == null ? [] : [rule.value.tag]

          content {
            key   = tag.value.key
            value = tag.value.value
          }
        }
      }

      expiration {
        days = rule.value.days
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_logging" "this" {
  count = var.receives_access_logs ? 0 : 1

  bucket        = aws_s3_bucket.this.id
  target_bucket = var.log_bucket
  target_prefix = "${var.name}/"
}

resource "aws_s3_bucket_object_lock_configuration" "this" {
  count = var.object_lock_days == null ? 0 : 1

  bucket = aws_s3_bucket.this.id

  rule {
    default_retention {
      mode = "GOVERNANCE"
      days = var.object_lock_days
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}
