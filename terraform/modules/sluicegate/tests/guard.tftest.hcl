# What the roles of jobs deny, whatever their managed policies allow, and what they must not deny.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target          = module.artifacts.aws_s3_bucket.this
  override_during = plan
  values          = { arn = "arn:aws:s3:::artifacts", id = "artifacts" }
}

override_resource {
  target          = module.state.aws_s3_bucket.this
  override_during = plan
  values          = { arn = "arn:aws:s3:::state", id = "state" }
}

override_resource {
  target          = module.audit.aws_s3_bucket.this
  override_during = plan
  values          = { arn = "arn:aws:s3:::audit", id = "audit" }
}

override_resource {
  target          = module.access_logs.aws_s3_bucket.this
  override_during = plan
  values          = { arn = "arn:aws:s3:::access-logs", id = "access-logs" }
}

override_resource {
  target          = module.table.aws_dynamodb_table.this
  override_during = plan
  values          = { arn = "arn:aws:dynamodb:eu-central-1:111122223333:table/sluicegate" }
}

override_resource {
  target          = module.key_data.aws_kms_key.this
  override_during = plan
  values          = { arn = "arn:aws:kms:eu-central-1:111122223333:key/data" }
}

override_resource {
  target          = module.key_state.aws_kms_key.this
  override_during = plan
  values          = { arn = "arn:aws:kms:eu-central-1:111122223333:key/state" }
}

variables {
  lambda_zip = "./tests/fixtures/step.zip"
  repositories = [
    { id = 1, full_name = "acme/shop" },
    { id = 2, full_name = "acme/site", image_repository = "images/site" },
  ]
  job_policies = {
    plan_arns    = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
    apply_arns   = ["arn:aws:iam::aws:policy/PowerUserAccess", "arn:aws:iam::111122223333:policy/delivery"]
    boundary_arn = "arn:aws:iam::111122223333:policy/boundary"
  }
}

# Reads the denials as IAM does: action and resource by pattern. That keys of the stores are used through S3 is a condition.
run "jobs_cannot_change_the_pipeline_and_can_do_their_work" {
  command = plan

  # Evaluates the denials as IAM does: action and resource match by pattern. That keys of the stores are used through S3 only
  # is a condition, tested below.
  assert {
    condition = [] == flatten([for role in ["jobs-plan", "jobs-apply"] : [for call in [
      ["batch:DeleteJobQueue", "arn:aws:batch:eu-central-1:111122223333:job-queue/sluicegate-apply"],
      ["batch:RegisterJobDefinition", "arn:aws:batch:eu-central-1:111122223333:job-definition/sluicegate-apply"],
      ["batch:SubmitJob", "arn:aws:batch:eu-central-1:111122223333:job-definition/sluicegate-apply:3"],
      ["batch:TerminateJob", "arn:aws:batch:eu-central-1:111122223333:job/11111111-2222-3333-4444-555555555555"],
      ["batch:UpdateComputeEnvironment", "arn:aws:batch:eu-central-1:111122223333:compute-environment/sluicegate-plan"],
      ["cloudformation:DeleteStack", "arn:aws:cloudformation:eu-central-1:111122223333:stack/sluicegate-webhook-url/1"],
      ["cloudwatch:DeleteAlarms", "arn:aws:cloudwatch:eu-central-1:111122223333:alarm:sluicegate-webhook-errors"],
      ["cloudwatch:DeleteDashboards", "arn:aws:cloudwatch::111122223333:dashboard/sluicegate"],
      ["codebuild:StartBuild", "arn:aws:codebuild:eu-central-1:111122223333:project/sluicegate-build"],
      ["codebuild:StopBuild", "arn:aws:codebuild:eu-central-1:111122223333:project/sluicegate-build"],
      ["codebuild:UpdateProject", "arn:aws:codebuild:eu-central-1:111122223333:project/sluicegate-build"],
      ["dynamodb:DeleteTable", "arn:aws:dynamodb:eu-central-1:111122223333:table/sluicegate"],
      ["dynamodb:PutItem", "arn:aws:dynamodb:eu-central-1:111122223333:table/sluicegate"],
      ["dynamodb:Query", "arn:aws:dynamodb:eu-central-1:111122223333:table/sluicegate/index/by-kind"],
      ["ec2:RevokeSecurityGroupEgress", "arn:aws:ec2:eu-central-1:111122223333:security-group/sg-0123456789abcdef0"],
      ["ec2:DeleteRoute", "arn:aws:ec2:eu-central-1:111122223333:route-table/rtb-0123456789abcdef0"],
      ["ecr:BatchDeleteImage", "arn:aws:ecr:eu-central-1:111122223333:repository/sluicegate/runner"],
      ["ecr:DeleteRepository", "arn:aws:ecr:eu-central-1:111122223333:repository/sluicegate/runner"],
      ["ecr:InitiateLayerUpload", "arn:aws:ecr:eu-central-1:111122223333:repository/sluicegate/runner"],
      ["ecr:PutImage", "arn:aws:ecr:eu-central-1:111122223333:repository/sluicegate/acme/shop"],
      ["ecr:PutImage", "arn:aws:ecr:eu-central-1:111122223333:repository/images/site"],
      ["ecr:PutImageTagMutability", "arn:aws:ecr:eu-central-1:111122223333:repository/sluicegate/runner"],
      ["ecr:PutLifecyclePolicy", "arn:aws:ecr:eu-central-1:111122223333:repository/sluicegate/runner"],
      ["ecr:SetRepositoryPolicy", "arn:aws:ecr:eu-central-1:111122223333:repository/sluicegate/runner"],
      ["ecr:UploadLayerPart", "arn:aws:ecr:eu-central-1:111122223333:repository/sluicegate/runner"],
      ["ecs:StopTask", "arn:aws:ecs:eu-central-1:111122223333:task/AWSBatch-sluicegate-apply-1/2"],
      ["ecs:ExecuteCommand", "arn:aws:ecs:eu-central-1:111122223333:cluster/sluicegate-apply_Batch_1"],
      ["events:PutEvents", "arn:aws:events:eu-central-1:111122223333:event-bus/sluicegate"],
      ["events:PutTargets", "arn:aws:events:eu-central-1:111122223333:rule/sluicegate/sluicegate-push"],
      ["events:DisableRule", "arn:aws:events:eu-central-1:111122223333:rule/sluicegate-ended"],
      ["events:DeleteRule", "arn:aws:events:eu-central-1:111122223333:rule/StepFunctionsGetEventsForBatchJobsRule"],
      ["events:DeleteRule", "arn:aws:events:eu-central-1:111122223333:rule/StepFunctionsGetEventForCodeBuildStartBuildRule"],
      ["iam:AttachRolePolicy", "arn:aws:iam::111122223333:role/sluicegate-jobs-apply"],
      ["iam:DeleteRolePermissionsBoundary", "arn:aws:iam::111122223333:role/sluicegate-jobs-apply"],
      ["iam:PassRole", "arn:aws:iam::111122223333:role/sluicegate-record"],
      ["iam:UpdateAssumeRolePolicy", "arn:aws:iam::111122223333:role/sluicegate-deploy"],
      ["iam:CreatePolicyVersion", "arn:aws:iam::111122223333:policy/delivery"],
      ["iam:SetDefaultPolicyVersion", "arn:aws:iam::111122223333:policy/boundary"],
      ["iam:DeletePolicy", "arn:aws:iam::111122223333:policy/boundary"],
      ["kms:ScheduleKeyDeletion", "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"],
      ["kms:Decrypt", "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"],
      ["kms:PutKeyPolicy", "arn:aws:kms:eu-central-1:111122223333:key/data"],
      ["kms:DisableKey", "arn:aws:kms:eu-central-1:111122223333:key/state"],
      ["kms:UpdateAlias", "arn:aws:kms:eu-central-1:111122223333:alias/sluicegate-data"],
      ["lambda:UpdateFunctionCode", "arn:aws:lambda:eu-central-1:111122223333:function:sluicegate-apply"],
      ["lambda:InvokeFunction", "arn:aws:lambda:eu-central-1:111122223333:function:sluicegate-record:live"],
      ["logs:DeleteLogGroup", "arn:aws:logs:eu-central-1:111122223333:log-group:/sluicegate/jobs"],
      ["logs:DeleteLogGroup", "arn:aws:logs:eu-central-1:111122223333:log-group:/aws/codebuild/sluicegate-build:*"],
      ["logs:DeleteLogStream", "arn:aws:logs:eu-central-1:111122223333:log-group:/aws/lambda/sluicegate-record:log-stream:1"],
      ["logs:PutRetentionPolicy", "arn:aws:logs:eu-central-1:111122223333:log-group:/aws/vendedlogs/states/sluicegate-deliver"],
      ["s3:PutBucketPolicy", "arn:aws:s3:::artifacts"],
      ["s3:PutLifecycleConfiguration", "arn:aws:s3:::artifacts"],
      ["s3:PutBucketVersioning", "arn:aws:s3:::state"],
      ["s3:PutEncryptionConfiguration", "arn:aws:s3:::state"],
      ["s3:DeleteBucket", "arn:aws:s3:::state"],
      ["s3:PutBucketObjectLockConfiguration", "arn:aws:s3:::audit"],
      ["s3:BypassGovernanceRetention", "arn:aws:s3:::audit/audit/github-1/00000001.json"],
      ["s3:GetObject", "arn:aws:s3:::audit/audit/github-1/00000001.json"],
      ["s3:DeleteObject", "arn:aws:s3:::access-logs/x"],
      ["s3:PutObject", "arn:aws:s3:::artifacts/functions/sluicegate-plan/1.zip"],
      ["s3:PutObject", "arn:aws:s3:::artifacts/sources/1.zip"],
      ["s3:DeleteObject", "arn:aws:s3:::artifacts/runs/1/jobs/1/job.json"],
      ["s3:DeleteObject", "arn:aws:s3:::state/github-1/production/main.tfstate"],
      ["s3:DeleteObjectVersion", "arn:aws:s3:::state/github-1/production/main.tfstate"],
      ["s3:PutObjectTagging", "arn:aws:s3:::state/github-1/production/main.tfstate"],
      ["secretsmanager:GetSecretValue", "arn:aws:secretsmanager:eu-central-1:111122223333:secret:mocked-abcdef"],
      ["secretsmanager:PutSecretValue", "arn:aws:secretsmanager:eu-central-1:111122223333:secret:mocked-abcdef"],
      ["sqs:PurgeQueue", "arn:aws:sqs:eu-central-1:111122223333:sluicegate-status.fifo"],
      ["sqs:SetQueueAttributes", "arn:aws:sqs:eu-central-1:111122223333:sluicegate-status-unread.fifo"],
      ["states:StartExecution", "arn:aws:states:eu-central-1:111122223333:stateMachine:sluicegate-deliver"],
      ["states:StopExecution", "arn:aws:states:eu-central-1:111122223333:execution:sluicegate-deliver:1"],
      ["states:UpdateStateMachine", "arn:aws:states:eu-central-1:111122223333:stateMachine:sluicegate-deliver"],
      ] : "${role} ${call[0]} ${call[1]}" if !anytrue([for statement in jsondecode(output.role_policies[role]).Statement :
        statement.Effect == "Deny" &&
        anytrue([for pattern in flatten([statement.Resource]) : can(regex("^${replace(pattern, "*", ".*")}$", call[1]))]) &&
        (can(statement.NotAction) ? !contains(flatten([try(statement.NotAction, [])]), call[0]) : anytrue([
          for pattern in flatten([try(statement.Action, [])]) : can(regex("^${replace(pattern, "*", ".*")}$", call[0]))
        ]))
    ])]])
    error_message = "A job whose managed policies allow it could change the pipeline that runs it."
  }

  assert {
    condition = alltrue([for object in ["main.tfstate", "main.tfstate.tflock"] : anytrue([for statement in jsondecode(output.role_policies["jobs-plan"]).Statement :
      statement.Effect == "Deny" && try(flatten([statement.NotAction]), []) == ["s3:GetObject"] && can(regex("^${replace(jsonencode(statement.Resource), "*", ".*")}$", jsonencode("arn:aws:s3:::state/github-1/production/${object}")))
    ])])
    error_message = "A plan may only read states, whatever its managed policies allow."
  }

  assert {
    condition = [] == [for call in [
      ["jobs-plan", "s3:GetObject", "arn:aws:s3:::artifacts/sources/1.zip"],
      ["jobs-plan", "s3:GetObject", "arn:aws:s3:::artifacts/runs/1/jobs/1/job.json"],
      ["jobs-plan", "s3:PutObject", "arn:aws:s3:::artifacts/runs/1/jobs/1/plan.tfplan"],
      ["jobs-plan", "s3:PutObjectTagging", "arn:aws:s3:::artifacts/runs/1/jobs/1/plan.tfplan"],
      ["jobs-plan", "s3:ListBucket", "arn:aws:s3:::artifacts"],
      ["jobs-plan", "s3:ListBucket", "arn:aws:s3:::state"],
      ["jobs-plan", "s3:GetObject", "arn:aws:s3:::state/github-1/production/main.tfstate"],
      ["jobs-apply", "s3:GetObject", "arn:aws:s3:::artifacts/sources/1.zip"],
      ["jobs-apply", "s3:PutObject", "arn:aws:s3:::artifacts/runs/1/jobs/1/result.json"],
      ["jobs-apply", "s3:PutObjectTagging", "arn:aws:s3:::artifacts/runs/1/jobs/1/errored.tfstate"],
      ["jobs-apply", "s3:ListBucket", "arn:aws:s3:::state"],
      ["jobs-apply", "s3:PutObject", "arn:aws:s3:::state/github-1/production/main.tfstate"],
      ["jobs-apply", "s3:GetObject", "arn:aws:s3:::state/github-1/production/main.tfstate.tflock"],
      ["jobs-apply", "s3:PutObject", "arn:aws:s3:::state/github-1/production/main.tfstate.tflock"],
      ["jobs-apply", "s3:DeleteObject", "arn:aws:s3:::state/github-1/production/main.tfstate.tflock"],
      # A stack uses its image, and gives its own roles the boundary.
      ["jobs-apply", "ecr:DescribeImages", "arn:aws:ecr:eu-central-1:111122223333:repository/sluicegate/acme/shop"],
      ["jobs-apply", "iam:GetPolicy", "arn:aws:iam::111122223333:policy/boundary"],
      ["jobs-apply", "iam:CreateRole", "arn:aws:iam::111122223333:role/shop-task"],
      # What a stack creates for itself.
      ["jobs-apply", "batch:CreateJobQueue", "arn:aws:batch:eu-central-1:111122223333:job-queue/shop"],
      ["jobs-apply", "dynamodb:CreateTable", "arn:aws:dynamodb:eu-central-1:111122223333:table/shop"],
      ["jobs-apply", "ec2:CreateVpc", "arn:aws:ec2:eu-central-1:111122223333:vpc/*"],
      ["jobs-apply", "ecs:CreateService", "arn:aws:ecs:eu-central-1:111122223333:service/shop/shop"],
      ["jobs-apply", "events:PutRule", "arn:aws:events:eu-central-1:111122223333:rule/shop"],
      ["jobs-apply", "kms:CreateAlias", "arn:aws:kms:eu-central-1:111122223333:alias/shop"],
      ["jobs-apply", "lambda:CreateFunction", "arn:aws:lambda:eu-central-1:111122223333:function:shop"],
      ["jobs-apply", "logs:CreateLogGroup", "arn:aws:logs:eu-central-1:111122223333:log-group:/shop/app"],
      ["jobs-apply", "s3:PutBucketPolicy", "arn:aws:s3:::shop"],
      ["jobs-apply", "sqs:CreateQueue", "arn:aws:sqs:eu-central-1:111122223333:shop"],
      ["jobs-apply", "states:CreateStateMachine", "arn:aws:states:eu-central-1:111122223333:stateMachine:shop"],
      ] : join(" ", call) if anytrue([for statement in jsondecode(output.role_policies[call[0]]).Statement :
        statement.Effect == "Deny" &&
        anytrue([for pattern in flatten([statement.Resource]) : can(regex("^${replace(pattern, "*", ".*")}$", call[2]))]) &&
        (can(statement.NotAction) ? !contains(flatten([try(statement.NotAction, [])]), call[1]) : anytrue([
          for pattern in flatten([try(statement.Action, [])]) : can(regex("^${replace(pattern, "*", ".*")}$", call[1]))
        ]))
    ])]
    error_message = "The denials cover something that a job or a stack needs."
  }

  assert {
    condition = alltrue([for role in ["jobs-plan", "jobs-apply"] : one([for statement in jsondecode(output.role_policies[role]).Statement :
      statement if statement.Sid == "KeysOfStoresThroughS3Only"
      ]) == {
      Sid       = "KeysOfStoresThroughS3Only"
      Effect    = "Deny"
      Action    = "kms:*"
      Resource  = ["arn:aws:kms:eu-central-1:111122223333:key/data", "arn:aws:kms:eu-central-1:111122223333:key/state"]
      Condition = { StringNotEquals = { "kms:ViaService" = "s3.eu-central-1.amazonaws.com" } }
    }])
    error_message = "Jobs may use the keys of artifacts and states only through S3."
  }

  assert {
    condition     = alltrue([for role in ["jobs-plan", "jobs-apply"] : length(output.role_policies[role]) < 8000])
    error_message = "A role's inline policies are limited to 10240 characters; leave room for a dozen repositories."
  }
}
