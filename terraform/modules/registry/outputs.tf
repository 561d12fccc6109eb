output "name" {
  description = "Name of the ECR repository."
  value       = aws_ecr_repository.this.name
}

output "arn" {
  description = "ARN of the ECR repository."
  value       = aws_ecr_repository.this.arn
}

output "image" {
  description = "Name of the images, without tag: `<host>/<repository>`."
  value       = var.host == null ? aws_ecr_repository.this.repository_url : "${var.host}/${aws_ecr_repository.this.name}"
}
