# The variables of every test in this directory, unless a run sets its own.

account            = { partition = "aws", id = "111122223333", region = "eu-central-1" }
name               = "example"
image              = "registry/runner:1"
network            = { subnet_ids = ["subnet-1"], security_group_id = "sg-1" }
state_seconds      = { plan = 3900, apply = 14400 }
terraform_seconds  = { plan = 1500, apply = 6900 }
registry_arn       = "arn:aws:ecr:eu-central-1:111122223333:repository/runner"
log_key_arn        = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
log_retention_days = 365
