mock_provider "aws" {}

run "private_encrypted_and_versioned" {
  command = plan

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "All public access must be blocked."
  }

  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled"
    error_message = "Objects must be versioned."
  }

  assert {
    condition = alltrue([for rule in aws_s3_bucket_server_side_encryption_configuration.this.rule :
      rule.apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms"
    ])
    error_message = "Objects must be encrypted with the given key."
  }

  assert {
    condition = [for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : [statement.Effect, statement.Condition]] == [
      ["Deny", { Bool = { "aws:SecureTransport" = "false" } }],
      ["Deny", { Null = { "s3:DataAccessPointArn" = "false" } }],
    ]
    error_message = "The bucket must refuse requests without TLS or through an access point, and allow nothing by its policy."
  }

  assert {
    condition     = length(aws_s3_bucket_object_lock_configuration.this) == 0
    error_message = "Without object_lock_days the bucket must have no lock."
  }
}

run "audit_is_locked" {
  command = plan

  variables {
    object_lock_days = 400
  }

  assert {
    condition     = aws_s3_bucket.this.object_lock_enabled && aws_s3_bucket_object_lock_configuration.this[0].rule[0].default_retention[0].days == 400
    error_message = "With object_lock_days every new object must be locked for that time."
  }
}
