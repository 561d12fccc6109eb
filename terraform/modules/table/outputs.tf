output "name" {
  description = "Name of the table."
  value       = aws_dynamodb_table.this.name
}

output "arn" {
  description = "ARN of the table."
  value       = aws_dynamodb_table.this.arn
}

output "index_name" {
  description = "Name of the index that lists the items of one kind by time."
  value       = "by-kind"
}
