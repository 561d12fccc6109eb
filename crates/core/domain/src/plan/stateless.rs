//! The resource types whose deletion loses nothing.

/// Resource types that hold no data and no identity that others depend on: created again from the
/// same code, they are as they were. A plan that deletes or replaces a resource of any other type
/// needs an approval. The list has what a delivery commonly replaces; a type that is missing costs a
/// question, a type that is wrong costs data.
///
/// Not in the list, for example: what keeps values (`random_*`, `time_static`), what has an address
/// or id that others keep (`aws_lb`, `aws_eip`, `aws_iam_role`, `aws_lambda_function_url`,
/// `aws_security_group`), what has a position in a stream (`aws_lambda_event_source_mapping`,
/// `aws_cloudwatch_log_subscription_filter`), what needs a confirmation
/// (`aws_sns_topic_subscription`), and what protects other resources
/// (`aws_s3_bucket_public_access_block`, `aws_s3_bucket_versioning`, `aws_s3_bucket_policy`).
pub const STATELESS_TYPES: &[&str] = &[
    "aws_acm_certificate_validation",
    "aws_alb_listener",
    "aws_alb_listener_certificate",
    "aws_alb_listener_rule",
    "aws_alb_target_group",
    "aws_alb_target_group_attachment",
    "aws_api_gateway_base_path_mapping",
    "aws_api_gateway_deployment",
    "aws_api_gateway_integration",
    "aws_api_gateway_integration_response",
    "aws_api_gateway_method",
    "aws_api_gateway_method_response",
    "aws_api_gateway_method_settings",
    "aws_apigatewayv2_integration",
    "aws_apigatewayv2_route",
    "aws_appautoscaling_policy",
    "aws_appautoscaling_scheduled_action",
    "aws_appautoscaling_target",
    "aws_autoscaling_attachment",
    "aws_autoscaling_policy",
    "aws_autoscaling_schedule",
    "aws_cloudwatch_composite_alarm",
    "aws_cloudwatch_dashboard",
    "aws_cloudwatch_event_rule",
    "aws_cloudwatch_event_target",
    "aws_cloudwatch_log_metric_filter",
    "aws_cloudwatch_metric_alarm",
    "aws_ecs_cluster_capacity_providers",
    "aws_ecs_task_definition",
    "aws_iam_group_policy",
    "aws_iam_group_policy_attachment",
    "aws_iam_instance_profile",
    "aws_iam_policy",
    "aws_iam_role_policy",
    "aws_iam_role_policy_attachment",
    "aws_iam_user_policy",
    "aws_iam_user_policy_attachment",
    "aws_lambda_alias",
    "aws_lambda_permission",
    "aws_lambda_provisioned_concurrency_config",
    "aws_launch_configuration",
    "aws_lb_listener",
    "aws_lb_listener_certificate",
    "aws_lb_listener_rule",
    "aws_lb_target_group",
    "aws_lb_target_group_attachment",
    "aws_route",
    "aws_route_table_association",
    "aws_s3_bucket_notification",
    "aws_scheduler_schedule",
    "aws_security_group_rule",
    "aws_vpc_security_group_egress_rule",
    "aws_vpc_security_group_ingress_rule",
    "null_resource",
    "terraform_data",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stateless_types_are_sorted_and_unique() {
        assert!(STATELESS_TYPES.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn what_keeps_data_values_or_addresses_is_not_stateless() {
        let kept = [
            "aws_cloudwatch_log_group",
            "aws_db_instance",
            "aws_dynamodb_table",
            "aws_eip",
            "aws_elasticache_cluster",
            "aws_iam_role",
            "aws_kms_key",
            "aws_lb",
            "aws_msk_cluster",
            "aws_route53_zone",
            "aws_s3_bucket",
            "aws_s3_object",
            "aws_secretsmanager_secret_version",
            "aws_sqs_queue",
            "aws_ssm_parameter",
            "aws_vpc",
            "random_id",
            "random_password",
            "tls_private_key",
        ];
        for kind in kept {
            assert!(STATELESS_TYPES.binary_search(&kind).is_err(), "{kind}");
        }
    }
}
