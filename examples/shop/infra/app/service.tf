resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:Encrypted with the key that CloudWatch owns; the log holds no data of visitors
  #checkov:skip=CKV_AWS_338:Two weeks are enough to look into a delivery of the sample
  name              = "/shop/${var.environment}"
  retention_in_days = 14
}

resource "aws_ecs_cluster" "this" {
  name = local.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

data "aws_iam_policy_document" "ecs" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

# The permissions of the program.
resource "aws_iam_role" "task" {
  name               = "${local.name}-task"
  assume_role_policy = data.aws_iam_policy_document.ecs.json
}

data "aws_iam_policy_document" "task" {
  statement {
    actions   = ["dynamodb:GetItem", "dynamodb:PutItem"]
    resources = [var.data.table_arn]
  }
}

resource "aws_iam_role_policy" "task" {
  name   = "items"
  role   = aws_iam_role.task.id
  policy = data.aws_iam_policy_document.task.json
}

# The permissions that ECS needs to start the program.
resource "aws_iam_role" "execution" {
  name               = "${local.name}-execution"
  assume_role_policy = data.aws_iam_policy_document.ecs.json
}

data "aws_iam_policy_document" "execution" {
  #checkov:skip=CKV_AWS_356:GetAuthorizationToken takes no resource, and ECR's repository belongs to the pipeline, which this stack does not know
  statement {
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = ["arn:${local.partition}:ecr:${local.region}:${local.account}:repository/*"]
  }

  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }

  statement {
    actions   = ["ssm:GetParameters"]
    resources = ["${local.parameter_arn}/${local.name}/*"]
  }
}

resource "aws_iam_role_policy" "execution" {
  name   = "start"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

# The template. It never runs itself: each delivery copies it, sets the image and adds
# SLUICEGATE_COMMIT.
resource "aws_ecs_task_definition" "this" {
  family                   = local.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  task_role_arn            = aws_iam_role.task.arn
  execution_role_arn       = aws_iam_role.execution.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.cpu_architecture
  }

  container_definitions = jsonencode([{
    name                   = "shop"
    image                  = "replaced-by-the-first-delivery"
    essential              = true
    readonlyRootFilesystem = true
    stopTimeout            = 30
    portMappings           = [{ containerPort = local.port, hostPort = local.port, protocol = "tcp" }]

    environment = [
      { name = "AWS_REGION", value = local.region },
      { name = "SHOP_TABLE", value = var.data.table_name },
    ]

    secrets = [
      { name = "SHOP_GREETING", valueFrom = "${local.parameter_arn}/${local.name}/greeting" },
    ]

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = local.region
        awslogs-stream-prefix = "shop"
      }
    }
  }])
}

resource "aws_ecs_service" "this" {
  #checkov:skip=CKV_AWS_333:A public address instead of a NAT gateway; the security group lets in the load balancer only
  name                               = local.name
  cluster                            = aws_ecs_cluster.this.id
  task_definition                    = aws_ecs_task_definition.this.arn
  launch_type                        = "FARGATE"
  desired_count                      = 0
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 30

  # ECS reports a failed delivery. The pipeline performs the rollback, because the infrastructure may
  # have to be rolled back too.
  deployment_circuit_breaker {
    enable   = true
    rollback = false
  }

  network_configuration {
    subnets          = aws_subnet.public[*].id
    security_groups  = [aws_security_group.task.id]
    assign_public_ip = true
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.this.arn
    container_name   = "shop"
    container_port   = local.port
  }

  lifecycle {
    # The pipeline's deploy step manages both.
    ignore_changes = [task_definition, desired_count]
  }

  # ECS refuses a target group without a listener, and tasks need their permissions to start and to stop.
  depends_on = [aws_lb_listener.http, aws_lb_listener.https, aws_iam_role_policy.task, aws_iam_role_policy.execution]
}
