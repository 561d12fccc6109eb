output "name" {
  description = "Name of the bucket, known once the bucket is ready to take objects."
  value       = aws_s3_bucket.this.id
}

output "arn" {
  description = "ARN of the bucket."
  value       = aws_s3_bucket.this.arn
}
