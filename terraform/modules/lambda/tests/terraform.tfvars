# The variables of every test in this directory, unless a run sets its own.

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
