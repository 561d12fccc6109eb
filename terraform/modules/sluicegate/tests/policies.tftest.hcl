# The inline policies of all roles, as Terraform would send them.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  lambda_zip = "./tests/fixtures/step.zip"
}

run "permissions_are_minimal" {
  command = plan

  assert {
    condition = alltrue(flatten([for role, policy in output.role_policies : [
      for statement in jsondecode(policy).Statement : statement.Effect == "Deny" || !contains(flatten([statement.Resource]), "*") || contains([
        # The services have no resource types for these calls.
        "Trace", "RegistryToken", "FollowJobs", "LogDelivery", "TaskDefinitions",
      ], statement.Sid)
    ]]))
    error_message = "A statement has the resource * and is not on the list of those whose service has no resource types for the call: use the ARN."
  }

  assert {
    condition = alltrue(flatten([for role, policy in output.role_policies : [
      for statement in jsondecode(policy).Statement : statement.Effect == "Deny" || (can(statement.Action) && !anytrue([
        for action in flatten([try(statement.Action, [])]) : strcontains(action, "*")
      ]))
    ]]))
    error_message = "A statement allows actions by pattern or by NotAction: list each action."
  }

  assert {
    condition = alltrue(flatten([for role, policy in output.role_policies : [
      for statement in jsondecode(policy).Statement : statement.Effect == "Deny" || anytrue([
        for key in keys(try(statement.Condition.StringEquals, {})) : startswith(key, "kms:")
      ]) || !anytrue([for action in flatten([try(statement.Action, [])]) : startswith(action, "kms:")])
    ]]))
    error_message = "A key may be used outside of the service that it is granted for: add kms:ViaService or the encryption context."
  }

  assert {
    condition     = length(distinct([for step in module.step : step.role_name])) == length(local.steps)
    error_message = "Two Lambdas share a role."
  }

  assert {
    condition     = length(distinct([for step in module.step : step.log_group])) == length(local.steps)
    error_message = "Two Lambdas share a log group."
  }

  assert {
    condition = toset(flatten([for statement in jsondecode(output.role_policies["lambda-webhook"]).Statement : statement.Action])) == toset([
      "dynamodb:GetItem", "dynamodb:PutItem", "events:PutEvents", "kms:Decrypt", "logs:CreateLogStream",
      "logs:PutLogEvents", "secretsmanager:GetSecretValue", "xray:PutTelemetryRecords", "xray:PutTraceSegments",
    ])
    error_message = "The webhook, which everyone can call, has more or fewer permissions than it needs."
  }

  assert {
    condition = { for statement in jsondecode(output.role_policies["lambda-start"]).Statement : statement.Sid => statement.Resource
      if !contains(["Log", "Trace", "DeadLetters", "DeadLettersKey"], statement.Sid)
      } == {
      ExecutionStarts    = "arn:aws:states:eu-central-1:111122223333:stateMachine:sluicegate-deliver"
      ExecutionStartsKey = module.key_data.arn
    }
    error_message = "start must be able to start the state machine, and nothing else."
  }

  assert {
    condition = { for role, policy in output.role_policies : role => [for statement in jsondecode(policy).Statement : statement.Action
      if contains(flatten([try(statement.Action, [])]), "states:StartExecution") && statement.Effect == "Allow"
    ] if strcontains(policy, "states:StartExecution") } == { lambda-start = [["states:StartExecution"]] }
    error_message = "Only start may start an execution."
  }

  assert {
    condition = alltrue([for statement in jsondecode(output.role_policies["lambda-webhook"]).Statement :
      statement.Condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"] == ["DELIVERY#*"]
      if statement.Sid == "Deliveries"
    ])
    error_message = "The webhook must be able to access deliveries only."
  }

  assert {
    condition = [for role, policy in output.role_policies : role if strcontains(policy, module.git_secret.arn) && anytrue([
      for statement in jsondecode(policy).Statement : statement.Effect == "Allow" && contains(flatten([try(statement.Action, [])]), "secretsmanager:GetSecretValue") && statement.Sid == "ForgeToken"
    ])] == [for name, step in local.steps : "lambda-${name}" if contains(step.permissions, "forge-token")]
    error_message = "A step may read the forge's token if, and only if, its file in steps/ says so."
  }

  assert {
    condition     = !anytrue([for name in ["build-trigger", "webhook"] : contains(local.steps[name].permissions, "forge-token")])
    error_message = "webhook, which everyone can call, and build-trigger do not need the forge's token."
  }

  assert {
    condition = [for name, environment in output.function_environments : name if contains(keys(environment), "SLUICEGATE_GIT_SECRET_ARN")] == [
      for name, step in local.steps : name if contains(step.permissions, "forge-token")
    ]
    error_message = "A step must get the ARN of the forge's token if, and only if, it may read it."
  }

  assert {
    condition     = [for name, environment in output.function_environments : name if contains(keys(environment), "SLUICEGATE_AUDIT_BUCKET")] == ["reconcile", "record"]
    error_message = "Only reconcile and record may get the name of the audit bucket."
  }

  assert {
    condition = [for role, policy in output.role_policies : role if anytrue([
      for statement in jsondecode(policy).Statement : statement.Effect == "Allow" && startswith(statement.Sid, "Audit")
    ])] == ["lambda-reconcile", "lambda-record"]
    error_message = "Only reconcile and record may write the audit."
  }

  assert {
    condition = !anytrue(flatten([for role, policy in output.role_policies : [for statement in jsondecode(policy).Statement :
      statement.Effect == "Allow" && anytrue([for action in flatten([try(statement.Action, [])]) : action == "s3:DeleteObject"]) && !alltrue([
        for resource in flatten([statement.Resource]) : endswith(resource, ".tflock")
      ])
    ]]))
    error_message = "No role may delete an object, except a state's lock."
  }

  assert {
    condition = [for role, policy in output.role_policies : role if startswith(role, "lambda-") && anytrue([
      for statement in jsondecode(policy).Statement : statement.Effect == "Allow" && contains(flatten([try(statement.Action, [])]), "ecr:PutImage")
    ])] == ["lambda-deploy"]
    error_message = "Of the Lambdas, only deploy may tag an image, which became healthy."
  }

  assert {
    condition = [for statement in jsondecode(output.role_policies["machine"]).Statement : statement.Resource
      if contains(flatten([statement.Action]), "codebuild:StartBuild")
    ] == ["arn:aws:codebuild:eu-central-1:111122223333:project/sluicegate-build-*"]
    error_message = "The state machine must be able to start the builds of every repository, also of one that is enrolled later."
  }

  assert {
    condition = [for role, policy in output.role_policies : role if startswith(role, "lambda-") && strcontains(policy, "batch:")] == [
      "lambda-apply", "lambda-plan", "lambda-reconcile", "lambda-record",
    ]
    error_message = "Only plan, apply, reconcile and record may call Batch."
  }

  assert {
    condition = alltrue([for role in ["lambda-apply", "lambda-plan", "lambda-reconcile", "lambda-record"] : {
      for statement in jsondecode(output.role_policies[role]).Statement : statement.Sid => [statement.Action, statement.Resource]
      if anytrue([for action in flatten([try(statement.Action, [])]) : startswith(action, "batch:")])
      } == {
      FollowJobs = [["batch:DescribeJobs", "batch:ListJobs"], "*"]
      StopJobs   = [["batch:TerminateJob"], "arn:aws:batch:eu-central-1:111122223333:job/*"]
    }])
    error_message = "These four may find and stop jobs, but not start them."
  }

  assert {
    condition = alltrue(flatten([for role, policy in output.role_policies : [for statement in jsondecode(policy).Statement : [
      for keys in try([statement.Condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]], []) :
      !contains(keys, "REPOSITORY#*") || flatten([statement.Action]) == ["dynamodb:GetItem"]
      ] if statement.Effect == "Allow" && anytrue([for action in flatten([try(statement.Action, [])]) : startswith(action, "dynamodb:")])
    ]]))
    error_message = "No Lambda may write an enrolment: it decides what a repository reaches."
  }

  assert {
    condition = alltrue(flatten([for role, policy in output.role_policies : [for statement in jsondecode(policy).Statement :
      can(statement.Condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"])
      if statement.Effect == "Allow" && anytrue([for action in flatten([try(statement.Action, [])]) : startswith(action, "dynamodb:")])
    ]]))
    error_message = "A Lambda may access items of every kind: limit dynamodb:LeadingKeys."
  }

  assert {
    condition = { for statement in jsondecode(output.role_policies["lambda-deploy"]).Statement : statement.Sid => statement.Resource
      if contains(flatten([statement.Action]), "sts:AssumeRole") || anytrue([for action in flatten([statement.Action]) : startswith(action, "ecs:") || startswith(action, "iam:")])
    } == { DeployRoles = "arn:aws:iam::111122223333:role/sluicegate-deploy-*" }
    error_message = "deploy must reach ECS only by the deploy role of an environment."
  }
}
