output "name" {
  description = "Name of the bucket. It is known only when the bucket is ready for objects."
  value       = aws_s3_bucket.this.id
  depends_on  = [aws_s3_bucket_server_side_encryption_configuration.this, aws_s3_bucket_versioning.this]
}

output "arn" {
  description = "ARN of the bucket."
  value       = aws_s3_bucket.this.arn
}
