# The variables of every test in this directory, unless a run sets its own.

account            = { partition = "aws", id = "111122223333", region = "eu-central-1" }
name               = "example-build-github-42"
state_seconds      = 6000
architecture       = "arm64"
sources            = { arn = "arn:aws:s3:::artifacts/sources/github-42/*", key_arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555" }
registry_arn       = "arn:aws:ecr:eu-central-1:111122223333:repository/acme/shop"
key_arn            = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
log_key_arn        = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
log_retention_days = 365
