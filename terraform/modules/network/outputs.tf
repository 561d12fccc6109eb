output "subnet_ids" {
  description = "Ids of the two subnets."
  value       = [for zone in var.zones : aws_subnet.this[zone].id]
}

output "security_group_id" {
  description = "Id of the jobs' security group."
  value       = aws_security_group.jobs.id
}

output "log_group" {
  description = "Name of the flow log's group."
  value       = aws_cloudwatch_log_group.flow.name
}

output "policies" {
  description = "The roles' policies as JSON, by role."
  value       = { flow_log = aws_iam_role_policy.flow.policy }
}

output "arns" {
  description = "ARNs of all resources that the jobs' connections need."
  value = concat(
    [
      aws_vpc.this.arn,
      aws_internet_gateway.this.arn,
      aws_route_table.this.arn,
      aws_security_group.jobs.arn,
      aws_flow_log.this.arn,
    ],
    [for zone in var.zones : aws_subnet.this[zone].arn],
    [for service in sort(keys(aws_vpc_endpoint.this)) : aws_vpc_endpoint.this[service].arn],
  )
}
