module "deploy" {
  source = "../lambda"

  account              = local.account
  name                 = "${var.name}-deploy"
  description          = "Registers an image with its target, starts the rollout and looks how far it is."
  zip_path             = "${var.artifacts_dir}/deploy.zip"
  code_bucket          = module.artifacts.name
  architecture         = var.architecture
  memory_mb            = local.lambda["deploy"].memory_mb
  timeout_seconds      = local.lambda["deploy"].timeout_seconds
  reserved_concurrency = local.lambda["deploy"].reserved_concurrency
  ephemeral_storage_mb = local.lambda["deploy"].ephemeral_storage_mb
  key_arn              = module.key_data.arn
  log_key_arn          = module.key_logs.arn
  log_retention_days   = var.retention.log_days

  environment = merge(local.env_step, { SLUICEGATE_BUCKET = module.artifacts.name })

  policy_json = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      local.need_runs,
      local.need_status,
      local.need_git,
      local.need_artifacts,
      [
        {
          Sid      = "Outputs"
          Effect   = "Allow"
          Action   = ["s3:GetObject"]
          Resource = "${module.artifacts.arn}/runs/*"
        },
        {
          Sid      = "Images"
          Effect   = "Allow"
          Action   = ["ecr:BatchGetImage", "ecr:DescribeImages", "ecr:PutImage"]
          Resource = local.image_repository_arns
        },
        {
          # ECS knows no resource for the calls about task definitions.
          Sid      = "TaskDefinitions"
          Effect   = "Allow"
          Action   = ["ecs:DescribeTaskDefinition", "ecs:RegisterTaskDefinition"]
          Resource = "*"
        },
        {
          # A copied revision keeps the tags of the one that Terraform made.
          Sid       = "TaskDefinitionTags"
          Effect    = "Allow"
          Action    = ["ecs:TagResource"]
          Resource  = "arn:${local.account.partition}:ecs:${local.region_account}:task-definition/*"
          Condition = { StringEquals = { "ecs:CreateAction" = "RegisterTaskDefinition" } }
        },
      ],
      local.roll_out,
      local.pass_task_roles,
    )
  })
}

locals {
  image_repository_arns = [for registry in module.registry : registry.arn]

  services = distinct(flatten([for repository in var.repositories : repository.services]))

  # A statement without a resource is refused by IAM.
  roll_out = [for services in length(local.services) == 0 ? [] : [local.services] : {
    Sid      = "Services"
    Effect   = "Allow"
    Action   = ["ecs:DescribeServices", "ecs:UpdateService"]
    Resource = [for service in services : "arn:${local.account.partition}:ecs:${local.region_account}:service/${service}"]
  }]

  task_role_arns = distinct(flatten([for repository in var.repositories : repository.task_role_arns]))

  # A task definition names its roles; only these may be passed on, and only to ECS tasks.
  pass_task_roles = [for arns in length(local.task_role_arns) == 0 ? [] : [local.task_role_arns] : {
    Sid       = "PassTaskRoles"
    Effect    = "Allow"
    Action    = ["iam:PassRole"]
    Resource  = arns
    Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
  }]
}
