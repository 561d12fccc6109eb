output "bus_name" {
  description = "Name of the event bus."
  value       = aws_cloudwatch_event_bus.this.name
}

output "bus_arn" {
  description = "ARN of the event bus."
  value       = aws_cloudwatch_event_bus.this.arn
}

output "push_pattern" {
  description = "The pattern of the rule that starts runs, as JSON."
  value       = aws_cloudwatch_event_rule.push.event_pattern
}

output "rule_names" {
  description = "Names of the rules: push, ended, blocked."
  value = {
    push    = aws_cloudwatch_event_rule.push.name
    ended   = aws_cloudwatch_event_rule.ended.name
    blocked = aws_cloudwatch_event_rule.blocked.name
  }
}
