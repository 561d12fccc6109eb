# The pipeline's deploy step uses the first four outputs.

output "cluster" {
  description = "Name of the ECS cluster."
  value       = aws_ecs_cluster.this.name
}

output "service" {
  description = "Name of the ECS service."
  value       = aws_ecs_service.this.name
}

output "task_definition" {
  description = "ARN of the template: the revision that each delivery copies, with its own image."
  value       = aws_ecs_task_definition.this.arn
}

output "url" {
  description = "Address of the service, without a path."
  value       = "${var.certificate_arn == null ? "http" : "https"}://${aws_lb.this.dns_name}"
}
