# The record that the Lambdas read, and what the roles of an environment may do.

mock_provider "aws" {
  source = "../sluicegate/tests/mocks"
}

# Everything that the denials name is that of a real installation.
run "installation" {
  command = plan

  module {
    source = "../sluicegate"
  }

  variables {
    lambda_zip    = "../sluicegate/tests/fixtures/step.zip"
    registry_host = "127.0.0.1:4566"
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
}

run "a_repository_reaches_only_itself" {
  command = plan

  variables {
    installation = run.installation.enrolment
    id           = 42
    full_name    = "acme/Shop"
    environments = {
      production = {
        branches          = ["main"]
        approval          = "on-destroy"
        approvers         = [{ principal = "arn:aws:iam::111122223333:role/approvers", login = "mona" }]
        services          = ["shop-production/*"]
        task_role_arns    = ["arn:aws:iam::111122223333:role/shop-task"]
        plan_policy_arns  = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
        apply_policy_arns = ["arn:aws:iam::aws:policy/PowerUserAccess", "arn:aws:iam::111122223333:policy/delivery"]
        boundary_arn      = "arn:aws:iam::111122223333:policy/boundary"
      }
      staging = { branches = ["develop"] }
    }
  }

  assert {
    condition = jsondecode(jsondecode(aws_dynamodb_table_item.enrolment.item).doc.S) == {
      schema         = 1
      key            = "github-42"
      full_name      = "acme/Shop"
      clone_url      = "https://github.com/acme/Shop.git"
      webhook_secret = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:mocked-abcdef"
      image          = "127.0.0.1:4566/sluicegate/acme/shop"
      projects       = { test = "sluicegate-build-github-42-test", image = "sluicegate-build-github-42-image" }
      environments = [
        {
          name              = "production"
          branches          = ["main"]
          account           = "111122223333"
          region            = "eu-central-1"
          approval          = "on-destroy"
          protect           = []
          approvers         = [{ principal = "arn:aws:iam::111122223333:role/approvers", session = null, login = "mona" }]
          self_approval     = "refused"
          operators         = []
          jobs              = { plan = "arn:aws:batch:eu-central-1:111122223333:job-definition/mocked:3", apply = "arn:aws:batch:eu-central-1:111122223333:job-definition/mocked:3" }
          deploy_role       = "arn:aws:iam::111122223333:role/mocked"
          services          = ["shop-production/*"]
          task_roles        = ["arn:aws:iam::111122223333:role/shop-task"]
          required_boundary = "arn:aws:iam::111122223333:policy/boundary"
        },
        {
          name              = "staging"
          branches          = ["develop"]
          account           = "111122223333"
          region            = "eu-central-1"
          approval          = "never"
          protect           = []
          approvers         = []
          self_approval     = "refused"
          operators         = []
          jobs              = { plan = "arn:aws:batch:eu-central-1:111122223333:job-definition/mocked:3", apply = "arn:aws:batch:eu-central-1:111122223333:job-definition/mocked:3" }
          deploy_role       = "arn:aws:iam::111122223333:role/mocked"
          services          = []
          task_roles        = []
          required_boundary = null
        },
      ]
    }
    error_message = "The record must have the form that the Lambdas read."
  }

  assert {
    condition = alltrue([for name, value in { pk = "REPOSITORY#github-42", sk = "ENROLMENT", gsi_pk = "REPOSITORIES", gsi_sk = "github-42" } :
      jsondecode(aws_dynamodb_table_item.enrolment.item)[name].S == value
    ])
    error_message = "The Lambdas look the record up under another key."
  }

  assert {
    condition = toset(flatten([for role in ["production-plan", "production-apply"] : [for statement in jsondecode(output.role_policies[role]).Statement :
      statement.Resource if statement.Effect == "Allow" && !startswith(statement.Sid, "List") && statement.Sid != "Keys"
      ]])) == toset([
      "arn:aws:s3:::state/github-42/production/*.tflock",
      "arn:aws:s3:::state/github-42/production/*.tfstate",
      "arn:aws:s3:::artifacts/runs/github-42/production/*",
      "arn:aws:s3:::artifacts/sources/github-42/*",
    ])
    error_message = "A job must reach the objects and states of its own repository and environment, and no other."
  }

  assert {
    condition = toset(flatten([for role, policy in output.role_policies : [for statement in jsondecode(policy).Statement :
      try(statement.Condition.StringLike["s3:prefix"], []) if statement.Effect == "Allow" && contains(flatten([try(statement.Action, [])]), "s3:ListBucket") && startswith(role, "production-")
    ]])) == toset(["github-42/production/*", "runs/github-42/production/*", "sources/github-42/*"])
    error_message = "A job must list the objects of its own repository and environment, and no other."
  }

  assert {
    condition = alltrue([for statement in jsondecode(output.role_policies["production-plan"]).Statement :
      flatten([try(statement.Action, [])]) == ["s3:GetObject"] if statement.Sid == "State"
    ])
    error_message = "A plan must not write a state."
  }

  assert {
    condition = [for role, policy in output.role_policies : role if anytrue([
      for statement in jsondecode(policy).Statement : statement.Effect == "Allow" && anytrue([for resource in flatten([statement.Resource]) : endswith(resource, ".tflock")])
    ])] == ["production-apply", "staging-apply"]
    error_message = "Only an apply may lock a state: a killed plan would leave its lock behind."
  }

  assert {
    condition = [for statement in jsondecode(output.role_policies["production-deploy"]).Statement : [
      statement.Resource, try(statement.Condition.StringEquals["iam:PassedToService"], null)
    ] if contains(flatten([try(statement.Action, [])]), "iam:PassRole")] == [[["arn:aws:iam::111122223333:role/shop-task"], "ecs-tasks.amazonaws.com"]]
    error_message = "A deployment must be able to pass the configured task roles, to ECS tasks only."
  }

  assert {
    condition = [for statement in jsondecode(output.role_policies["production-deploy"]).Statement :
      statement.Resource if contains(flatten([try(statement.Action, [])]), "ecs:UpdateService")
    ] == [["arn:aws:ecs:eu-central-1:111122223333:service/shop-production/*"]]
    error_message = "A deployment must be able to roll out the configured services, and no other."
  }

  assert {
    condition     = !anytrue([for statement in jsondecode(output.role_policies["staging-deploy"]).Statement : contains(flatten([try(statement.Action, [])]), "ecs:UpdateService")])
    error_message = "An environment without services rolls out none."
  }

  assert {
    condition = flatten([for role, policy in output.role_policies : [for statement in jsondecode(policy).Statement :
      "${role}: ${join(" ", statement.Action)} ${statement.Resource}"
      if statement.Effect == "Allow" && contains(flatten([try(statement.Action, [])]), "s3:PutObjectTagging") && startswith(role, "production-")
      ]]) == [for role in ["production-apply", "production-plan"] :
      "${role}: s3:GetObject s3:PutObject s3:PutObjectTagging arn:aws:s3:::artifacts/runs/github-42/production/*"
    ]
    error_message = "Only the runner may tag objects, which sets their retention, and only below its own runs."
  }

  assert {
    condition = [for statement in jsondecode(output.role_policies["production-apply"]).Statement :
      [statement.Effect, try(statement.Condition.StringNotEquals["iam:PermissionsBoundary"], null)] if statement.Sid == "RolesHaveTheBoundary"
    ] == [["Deny", "arn:aws:iam::111122223333:policy/boundary"]]
    error_message = "An apply must create a role only with the boundary."
  }

  assert {
    condition = alltrue(flatten([for role, policy in output.role_policies : [
      for statement in jsondecode(policy).Statement : statement.Effect == "Deny" || !contains(flatten([statement.Resource]), "*") || contains(["TaskDefinitions", "RegistryToken"], statement.Sid)
    ]]))
    error_message = "A statement has the resource * although its service has resource types for the call."
  }

  assert {
    condition     = alltrue([for role, policy in output.role_policies : length(policy) < 9000])
    error_message = "A role's inline policies are limited to 10240 characters."
  }

  assert {
    condition = [for role, policy in output.role_policies : role if startswith(role, "build-") && anytrue([
      for statement in jsondecode(policy).Statement : anytrue([for action in flatten([try(statement.Action, [])]) : startswith(action, "ecr:")])
    ])] == ["build-image"]
    error_message = "A test's command can use its role's credentials: only the project of the image may reach the registry."
  }

  assert {
    condition = alltrue([for statement in jsondecode(output.role_policies["build-image"]).Statement :
      can(tostring(statement.Resource)) if contains(flatten([try(statement.Action, [])]), "ecr:PutImage")
    ])
    error_message = "The images of a repository may be pushed to one ECR repository only."
  }

  assert {
    condition = toset(flatten([for role in ["build-test", "build-image"] : [for statement in jsondecode(output.role_policies[role]).Statement :
      statement.Resource if anytrue([for action in flatten([try(statement.Action, [])]) : startswith(action, "s3:GetObject")])
    ]])) == toset(["arn:aws:s3:::artifacts/sources/github-42/*"])
    error_message = "A build must read the sealed sources of its own repository, and no other."
  }

  # What follows evaluates the denials as IAM does: action and resource match by pattern. That keys of the stores are used
  # through S3 only is a condition.

  assert {
    condition = [] == flatten([for role in ["production-plan", "production-apply"] : [for call in [
      ["batch:DeleteJobQueue", "arn:aws:batch:eu-central-1:111122223333:job-queue/sluicegate-apply"],
      ["batch:RegisterJobDefinition", "arn:aws:batch:eu-central-1:111122223333:job-definition/sluicegate-apply"],
      ["batch:SubmitJob", "arn:aws:batch:eu-central-1:111122223333:job-definition/sluicegate-apply:3"],
      ["batch:TerminateJob", "arn:aws:batch:eu-central-1:111122223333:job/11111111-2222-3333-4444-555555555555"],
      ["batch:UpdateComputeEnvironment", "arn:aws:batch:eu-central-1:111122223333:compute-environment/sluicegate-plan"],
      ["cloudformation:DeleteStack", "arn:aws:cloudformation:eu-central-1:111122223333:stack/sluicegate-webhook-url/1"],
      ["cloudwatch:DeleteAlarms", "arn:aws:cloudwatch:eu-central-1:111122223333:alarm:sluicegate-webhook-errors"],
      ["cloudwatch:DeleteDashboards", "arn:aws:cloudwatch::111122223333:dashboard/sluicegate"],
      ["codebuild:StartBuild", "arn:aws:codebuild:eu-central-1:111122223333:project/sluicegate-build-github-42-image"],
      ["codebuild:StopBuild", "arn:aws:codebuild:eu-central-1:111122223333:project/sluicegate-build-github-42-image"],
      ["codebuild:UpdateProject", "arn:aws:codebuild:eu-central-1:111122223333:project/sluicegate-build-github-42-image"],
      ["dynamodb:DeleteTable", "arn:aws:dynamodb:eu-central-1:111122223333:table/sluicegate"],
      ["dynamodb:PutItem", "arn:aws:dynamodb:eu-central-1:111122223333:table/sluicegate"],
      ["dynamodb:Query", "arn:aws:dynamodb:eu-central-1:111122223333:table/sluicegate/index/by-kind"],
      ["ec2:RevokeSecurityGroupEgress", "arn:aws:ec2:eu-central-1:111122223333:security-group/sg-0123456789abcdef0"],
      ["ec2:DeleteRoute", "arn:aws:ec2:eu-central-1:111122223333:route-table/rtb-0123456789abcdef0"],
      ["ecr:BatchDeleteImage", "arn:aws:ecr:eu-central-1:111122223333:repository/sluicegate/runner"],
      ["ecr:DeleteRepository", "arn:aws:ecr:eu-central-1:111122223333:repository/sluicegate/runner"],
      ["ecr:InitiateLayerUpload", "arn:aws:ecr:eu-central-1:111122223333:repository/sluicegate/runner"],
      ["ecr:PutImage", "arn:aws:ecr:eu-central-1:111122223333:repository/sluicegate/acme/shop"],
      ["ecr:PutImage", "arn:aws:ecr:eu-central-1:111122223333:repository/sluicegate/acme/site"],
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
      ["iam:AttachRolePolicy", "arn:aws:iam::111122223333:role/sluicegate-apply-eu-central-1-github-42-production"],
      ["iam:DeleteRolePermissionsBoundary", "arn:aws:iam::111122223333:role/sluicegate-apply-eu-central-1-github-42-production"],
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
      ["logs:DeleteLogGroup", "arn:aws:logs:eu-central-1:111122223333:log-group:/aws/codebuild/sluicegate-build-github-42-test:*"],
      ["logs:DeleteLogStream", "arn:aws:logs:eu-central-1:111122223333:log-group:/aws/lambda/sluicegate-record:log-stream:1"],
      ["logs:PutRetentionPolicy", "arn:aws:logs:eu-central-1:111122223333:log-group:/aws/vendedlogs/states/sluicegate-deliver"],
      ["s3:PutBucketPolicy", "arn:aws:s3:::artifacts"],
      ["s3:PutLifecycleConfiguration", "arn:aws:s3:::artifacts"],
      ["s3:PutBucketVersioning", "arn:aws:s3:::state"],
      ["s3:PutEncryptionConfiguration", "arn:aws:s3:::state"],
      ["s3:DeleteBucket", "arn:aws:s3:::state"],
      ["s3:PutBucketObjectLockConfiguration", "arn:aws:s3:::audit"],
      ["s3:BypassGovernanceRetention", "arn:aws:s3:::audit/audit/github-42/00000001.json"],
      ["s3:GetObject", "arn:aws:s3:::audit/audit/github-42/00000001.json"],
      ["s3:DeleteObject", "arn:aws:s3:::access-logs/x"],
      ["s3:PutObject", "arn:aws:s3:::artifacts/functions/sluicegate-plan/1.zip"],
      ["s3:PutObject", "arn:aws:s3:::artifacts/sources/github-42/1.zip"],
      ["s3:DeleteObject", "arn:aws:s3:::artifacts/runs/github-42/production/1/jobs/1/job.json"],
      ["s3:DeleteObject", "arn:aws:s3:::state/github-42/production/main.tfstate"],
      ["s3:DeleteObjectVersion", "arn:aws:s3:::state/github-42/production/main.tfstate"],
      ["s3:PutObjectTagging", "arn:aws:s3:::state/github-42/production/main.tfstate"],
      ["secretsmanager:GetSecretValue", "arn:aws:secretsmanager:eu-central-1:111122223333:secret:sluicegate/webhook/github-42-abcdef"],
      ["secretsmanager:PutSecretValue", "arn:aws:secretsmanager:eu-central-1:111122223333:secret:sluicegate/webhook/github-42-abcdef"],
      ["secretsmanager:GetSecretValue", "arn:aws:secretsmanager:eu-central-1:111122223333:secret:sluicegate/git-abcdef"],
      ["sts:AssumeRole", "arn:aws:iam::111122223333:role/sluicegate-deploy-eu-central-1-github-2-production"],
      ["iam:CreateUser", "arn:aws:iam::111122223333:user/shop"],
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
    condition = alltrue([for object in ["main.tfstate", "main.tfstate.tflock"] : anytrue([for statement in jsondecode(output.role_policies["production-plan"]).Statement :
      statement.Effect == "Deny" && try(flatten([statement.NotAction]), []) == ["s3:GetObject"] && can(regex("^${replace(jsonencode(statement.Resource), "*", ".*")}$", jsonencode("arn:aws:s3:::state/github-42/production/${object}")))
    ])])
    error_message = "A plan may only read states, whatever its managed policies allow."
  }

  assert {
    condition = [] == [for call in [
      ["production-plan", "s3:GetObject", "arn:aws:s3:::artifacts/sources/github-42/1.zip"],
      ["production-plan", "s3:GetObject", "arn:aws:s3:::artifacts/runs/github-42/production/1/jobs/1/job.json"],
      ["production-plan", "s3:PutObject", "arn:aws:s3:::artifacts/runs/github-42/production/1/jobs/1/plan.tfplan"],
      ["production-plan", "s3:PutObjectTagging", "arn:aws:s3:::artifacts/runs/github-42/production/1/jobs/1/plan.tfplan"],
      ["production-plan", "s3:ListBucket", "arn:aws:s3:::artifacts"],
      ["production-plan", "s3:ListBucket", "arn:aws:s3:::state"],
      ["production-plan", "s3:GetObject", "arn:aws:s3:::state/github-42/production/main.tfstate"],
      ["production-apply", "s3:GetObject", "arn:aws:s3:::artifacts/sources/github-42/1.zip"],
      ["production-apply", "s3:PutObject", "arn:aws:s3:::artifacts/runs/github-42/production/1/jobs/1/result.json"],
      ["production-apply", "s3:PutObjectTagging", "arn:aws:s3:::artifacts/runs/github-42/production/1/jobs/1/errored.tfstate"],
      ["production-apply", "s3:ListBucket", "arn:aws:s3:::state"],
      ["production-apply", "s3:PutObject", "arn:aws:s3:::state/github-42/production/main.tfstate"],
      ["production-apply", "s3:GetObject", "arn:aws:s3:::state/github-42/production/main.tfstate.tflock"],
      ["production-apply", "s3:PutObject", "arn:aws:s3:::state/github-42/production/main.tfstate.tflock"],
      ["production-apply", "s3:DeleteObject", "arn:aws:s3:::state/github-42/production/main.tfstate.tflock"],
      # A stack uses its image, and gives its own roles the boundary.
      ["production-apply", "ecr:DescribeImages", "arn:aws:ecr:eu-central-1:111122223333:repository/sluicegate/acme/shop"],
      ["production-apply", "iam:GetPolicy", "arn:aws:iam::111122223333:policy/boundary"],
      ["production-apply", "iam:CreateRole", "arn:aws:iam::111122223333:role/shop-task"],
      # What a stack creates for itself.
      ["production-apply", "batch:CreateJobQueue", "arn:aws:batch:eu-central-1:111122223333:job-queue/shop"],
      ["production-apply", "dynamodb:CreateTable", "arn:aws:dynamodb:eu-central-1:111122223333:table/shop"],
      ["production-apply", "ec2:CreateVpc", "arn:aws:ec2:eu-central-1:111122223333:vpc/*"],
      ["production-apply", "ecs:CreateService", "arn:aws:ecs:eu-central-1:111122223333:service/shop/shop"],
      ["production-apply", "events:PutRule", "arn:aws:events:eu-central-1:111122223333:rule/shop"],
      ["production-apply", "kms:CreateAlias", "arn:aws:kms:eu-central-1:111122223333:alias/shop"],
      ["production-apply", "lambda:CreateFunction", "arn:aws:lambda:eu-central-1:111122223333:function:shop"],
      ["production-apply", "logs:CreateLogGroup", "arn:aws:logs:eu-central-1:111122223333:log-group:/shop/app"],
      ["production-apply", "s3:PutBucketPolicy", "arn:aws:s3:::shop"],
      ["production-apply", "sqs:CreateQueue", "arn:aws:sqs:eu-central-1:111122223333:shop"],
      ["production-apply", "states:CreateStateMachine", "arn:aws:states:eu-central-1:111122223333:stateMachine:shop"],
      ] : join(" ", call) if anytrue([for statement in jsondecode(output.role_policies[call[0]]).Statement :
        statement.Effect == "Deny" && !can(statement.Condition) &&
        anytrue([for pattern in flatten([statement.Resource]) : can(regex("^${replace(pattern, "*", ".*")}$", call[2]))]) &&
        (can(statement.NotAction) ? !contains(flatten([try(statement.NotAction, [])]), call[1]) : anytrue([
          for pattern in flatten([try(statement.Action, [])]) : can(regex("^${replace(pattern, "*", ".*")}$", call[1]))
        ]))
    ])]
    error_message = "The denials cover something that a job or a stack needs."
  }

  assert {
    condition = alltrue([for role in ["production-plan", "production-apply"] : one([for statement in jsondecode(output.role_policies[role]).Statement :
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
}
