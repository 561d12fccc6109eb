# The address that the forge posts events to. It has no IAM authentication, since the forge cannot sign requests for it:
# the Lambda checks the signature over the raw body.

resource "aws_lambda_function_url" "webhook" {
  #checkov:skip=CKV_AWS_258:The forge cannot sign requests for IAM; the Lambda checks its HMAC signature before anything else.
  function_name      = module.step["webhook"].function_name
  qualifier          = module.step["webhook"].alias_name
  authorization_type = "NONE"
}

resource "aws_lambda_permission" "webhook_url" {
  #checkov:skip=CKV_AWS_301:Public on purpose: the forge posts from changing addresses; the Lambda checks its signature.
  statement_id           = "url"
  action                 = "lambda:InvokeFunctionUrl"
  function_name          = module.step["webhook"].function_name
  qualifier              = module.step["webhook"].alias_name
  principal              = "*"
  function_url_auth_type = "NONE"
}

# Since October 2025 a function URL needs a second permission, lambda:InvokeFunction, limited to calls through the URL.
# aws_lambda_permission has no argument for the limit before provider version 6.29; CloudFormation has.
resource "aws_cloudformation_stack" "webhook_url" {
  #checkov:skip=CKV_AWS_124:One permission; Terraform reports its failure.
  name = "${var.name}-webhook-url"
  template_body = jsonencode({
    AWSTemplateFormatVersion = "2010-09-09"
    Description              = "Lets the webhook's function URL call its Lambda."
    Resources = {
      InvokeThroughAddress = {
        Type = "AWS::Lambda::Permission"
        Properties = {
          Action                = "lambda:InvokeFunction"
          FunctionName          = module.step["webhook"].alias_arn
          Principal             = "*"
          InvokedViaFunctionUrl = true
        }
      }
    }
  })
}
