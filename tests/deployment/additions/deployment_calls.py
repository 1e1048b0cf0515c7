"""What CloudFormation calls, with the rights of who deploys, to make, change and delete a resource.

From the permissions that the schemas of AWS's resource types name, less what the template's properties cannot lead to; for
CodeDeploy and networks also from the pages of its and Lambda's manual about permissions. It is written by hand: that AWS asks
for neither more nor less, no emulator shows. The template's tests read it, too, so it imports nothing.
"""

TAGS = ("apigateway:TagResource",)
LOG_DELIVERY = (
    "logs:CreateLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
)

NAMED_NETWORK = ("ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs")
NETWORK = {"create": NAMED_NETWORK, "update": NAMED_NETWORK, "delete": ("ec2:DescribeNetworkInterfaces",)}

# For each type: the resource that its calls name, and the calls.
CALLS = {
    "AWS::ApiGatewayV2::Api": (
        "apigateway:{region}::/apis",
        {
            "create": ("apigateway:POST", "apigateway:GET", *TAGS),
            "update": ("apigateway:PATCH", "apigateway:PUT", "apigateway:GET", *TAGS),
            "delete": ("apigateway:DELETE",),
        },
    ),
    "AWS::ApiGatewayV2::ApiMapping": (
        "apigateway:{region}::/domainnames/{DomainName}/apimappings",
        {
            "create": ("apigateway:POST", "apigateway:GET"),
            "update": ("apigateway:PATCH", "apigateway:GET"),
            "delete": ("apigateway:DELETE",),
        },
    ),
    "AWS::ApiGatewayV2::DomainName": (
        "apigateway:{region}::/domainnames",
        {
            "create": ("apigateway:POST", "apigateway:GET", *TAGS),
            "update": ("apigateway:PATCH", "apigateway:GET", *TAGS),
            "delete": ("apigateway:DELETE",),
        },
    ),
    "AWS::ApiGatewayV2::Stage": (
        "apigateway:{region}::/apis/{ApiId}/stages",
        {
            "create": ("apigateway:POST", "apigateway:GET", *TAGS),
            "update": ("apigateway:PATCH", "apigateway:GET", *TAGS),
            "delete": ("apigateway:DELETE",),
        },
    ),
    "AWS::CloudWatch::Alarm": (
        "cloudwatch:{region}:{account}:alarm:{AlarmName}",
        {
            "create": ("cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms", "cloudwatch:TagResource"),
            "update": ("cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms"),
            "delete": ("cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms"),
        },
    ),
    "AWS::CloudWatch::Dashboard": (
        "cloudwatch::{account}:dashboard/{DashboardName}",
        {
            "create": ("cloudwatch:PutDashboard", "cloudwatch:GetDashboard"),
            "update": ("cloudwatch:PutDashboard", "cloudwatch:GetDashboard"),
            "delete": ("cloudwatch:DeleteDashboards",),
        },
    ),
    "AWS::CodeDeploy::Application": (
        "codedeploy:{region}:{account}:application:{name}",
        {
            "create": ("codedeploy:CreateApplication", "codedeploy:GetApplication"),
            "update": ("codedeploy:GetApplication",),
            "delete": ("codedeploy:DeleteApplication",),
        },
    ),
    "AWS::CodeDeploy::DeploymentGroup": (
        "codedeploy:{region}:{account}:deploymentgroup:{ApplicationName}/{name}",
        {
            "create": ("codedeploy:CreateDeploymentGroup", "codedeploy:GetDeploymentGroup"),
            "update": ("codedeploy:GetDeploymentGroup", "codedeploy:UpdateDeploymentGroup"),
            "delete": ("codedeploy:DeleteDeploymentGroup",),
        },
    ),
    "AWS::DynamoDB::Table": (
        "dynamodb:{region}:{account}:table/{name}",
        {
            "create": (
                "dynamodb:CreateTable",
                "dynamodb:DescribeContinuousBackups",
                "dynamodb:DescribeTable",
                "dynamodb:DescribeTimeToLive",
                "dynamodb:TagResource",
                "dynamodb:UpdateContinuousBackups",
                "dynamodb:UpdateTimeToLive",
            ),
            "update": ("dynamodb:DescribeTable", "dynamodb:UpdateTable"),
            "delete": ("dynamodb:DeleteTable", "dynamodb:DescribeTable"),
        },
    ),
    "AWS::IAM::ManagedPolicy": (
        "iam::{account}:policy/{name}",
        {
            "create": ("iam:CreatePolicy", "iam:GetPolicy"),
            "update": ("iam:CreatePolicyVersion", "iam:DeletePolicyVersion", "iam:ListPolicyVersions"),
            "delete": ("iam:DeletePolicy", "iam:ListPolicyVersions"),
        },
    ),
    "AWS::IAM::Role": (
        "iam::{account}:role/{name}",
        {
            "create": ("iam:CreateRole", "iam:GetRole", "iam:GetRolePolicy", "iam:PutRolePolicy"),
            "update": ("iam:DeleteRolePolicy", "iam:GetRole", "iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy"),
            "delete": (
                "iam:DeleteRole",
                "iam:DeleteRolePolicy",
                "iam:GetRole",
                "iam:ListAttachedRolePolicies",
                "iam:ListRolePolicies",
            ),
        },
    ),
    "AWS::Lambda::Alias": (
        "lambda:{region}:{account}:function:{FunctionName}",
        {
            "create": ("lambda:CreateAlias", "lambda:GetAlias"),
            "update": ("lambda:GetAlias", "lambda:UpdateAlias"),
            "delete": ("lambda:DeleteAlias",),
        },
    ),
    "AWS::Lambda::Function": (
        "lambda:{region}:{account}:function:{FunctionName}",
        {
            "create": ("lambda:CreateFunction", "lambda:GetFunction", "lambda:TagResource"),
            "update": ("lambda:GetFunction", "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration"),
            "delete": ("lambda:DeleteFunction", "lambda:GetFunction"),
        },
    ),
    "AWS::Lambda::Permission": (
        "lambda:{region}:{account}:function:{FunctionName}",
        {
            "create": ("lambda:AddPermission", "lambda:GetPolicy"),
            "update": ("lambda:AddPermission", "lambda:GetPolicy", "lambda:RemovePermission"),
            "delete": ("lambda:GetPolicy", "lambda:RemovePermission"),
        },
    ),
    # It is made anew and retained, never changed or deleted.
    "AWS::Lambda::Version": (
        "lambda:{region}:{account}:function:{FunctionName}",
        {"create": ("lambda:GetFunctionConfiguration", "lambda:PublishVersion"), "update": (), "delete": ()},
    ),
    "AWS::Logs::LogGroup": (
        "logs:{region}:{account}:log-group:{LogGroupName}",
        {
            "create": ("logs:CreateLogGroup", "logs:DescribeLogGroups", "logs:PutRetentionPolicy", "logs:TagResource"),
            "update": ("logs:DescribeLogGroups", "logs:PutRetentionPolicy"),
            "delete": ("logs:DeleteLogGroup", "logs:DescribeLogGroups"),
        },
    ),
    "AWS::Logs::MetricFilter": (
        "logs:{region}:{account}:log-group:{LogGroupName}",
        {
            "create": ("logs:DescribeMetricFilters", "logs:PutMetricFilter"),
            "update": ("logs:DescribeMetricFilters", "logs:PutMetricFilter"),
            "delete": ("logs:DeleteMetricFilter", "logs:DescribeMetricFilters"),
        },
    ),
    "AWS::Logs::QueryDefinition": (
        "*",
        {
            "create": ("logs:DescribeQueryDefinitions", "logs:PutQueryDefinition"),
            "update": ("logs:DescribeQueryDefinitions", "logs:PutQueryDefinition"),
            "delete": ("logs:DeleteQueryDefinition", "logs:DescribeQueryDefinitions"),
        },
    ),
    "AWS::S3::Bucket": (
        "s3:::aws-sam-cli-managed-default-{name}",
        {
            "create": (
                "s3:CreateBucket",
                "s3:PutBucketTagging",
                "s3:PutBucketVersioning",
                "s3:PutEncryptionConfiguration",
            )
        },
    ),
    "AWS::S3::BucketPolicy": ("s3:::{Bucket}", {"create": ("s3:GetBucketPolicy", "s3:PutBucketPolicy")}),
    "AWS::SNS::Topic": (
        "sns:{region}:{account}:{name}",
        {
            "create": ("sns:CreateTopic", "sns:GetTopicAttributes", "sns:Subscribe", "sns:TagResource"),
            "update": ("sns:GetTopicAttributes", "sns:SetTopicAttributes", "sns:Subscribe", "sns:Unsubscribe"),
            "delete": ("sns:DeleteTopic",),
        },
    ),
    "AWS::SecretsManager::RotationSchedule": (
        "{SecretId}",
        {
            "create": ("secretsmanager:DescribeSecret", "secretsmanager:RotateSecret"),
            "update": ("secretsmanager:DescribeSecret", "secretsmanager:RotateSecret"),
            "delete": ("secretsmanager:CancelRotateSecret", "secretsmanager:DescribeSecret"),
        },
    ),
    "AWS::SecretsManager::Secret": (
        "secretsmanager:{region}:{account}:secret:{logical_id}-any",
        {
            "create": ("secretsmanager:CreateSecret", "secretsmanager:DescribeSecret", "secretsmanager:TagResource"),
            "update": ("secretsmanager:DescribeSecret", "secretsmanager:UpdateSecret"),
            "delete": ("secretsmanager:DeleteSecret", "secretsmanager:DescribeSecret"),
        },
    ),
}


def needed(operation, kind, logical_id, props, stack, region, account, policy=None):
    """The calls: action, resource, and the keys that a condition may name. A type that is not listed is a KeyError."""
    resource, calls = CALLS[kind]
    # A name that CloudFormation gives begins with those of the stack and the resource. A secret's lacks the stack's.
    named = {"name": f"{stack}-{logical_id}-any", "region": region, "account": account}
    arn = _arn(resource.format_map({**props, **named, "logical_id": logical_id}))
    for action in calls[operation]:
        # These have no narrower resource.
        yield action, "*" if action in LOG_DELIVERY else arn, {}
    if kind == "AWS::Lambda::Function":
        yield from _for_a_function(operation, arn, props)
    if kind == "AWS::Lambda::Alias" and operation == "update" and policy:
        yield from _for_a_moving_alias(policy["CodeDeployLambdaAliasUpdate"], region, account)
    if kind == "AWS::CodeDeploy::DeploymentGroup" and operation != "delete":
        yield "iam:PassRole", props["ServiceRoleArn"], {"iam:passedtoservice": "codedeploy.amazonaws.com"}
    if kind == "AWS::Logs::LogGroup" and operation != "delete" and props.get("KmsKeyId"):
        yield "logs:AssociateKmsKey", arn, {}
    if kind == "AWS::ApiGatewayV2::Stage" and operation != "delete":
        for action in LOG_DELIVERY:
            yield action, "*", {}
    if kind == "AWS::IAM::Role" and props.get("ManagedPolicyArns"):
        yield "iam:DetachRolePolicy" if operation == "delete" else "iam:AttachRolePolicy", arn, {}
    if kind == "AWS::SecretsManager::RotationSchedule" and operation != "delete":
        yield "lambda:InvokeFunction", props["RotationLambdaARN"], {}


def _for_a_function(operation, arn, props):
    """Lambda looks at the network by the rights of who names it, and CloudFormation waits for its interfaces to go."""
    if props.get("VpcConfig"):
        for action in NETWORK[operation]:
            yield action, "*", {}
    if operation != "delete":
        yield "iam:PassRole", props["Role"], {"iam:passedtoservice": "lambda.amazonaws.com"}
        yield "s3:GetObject", _arn("s3:::{S3Bucket}/{S3Key}".format_map(props["Code"])), {}
        if props.get("ReservedConcurrentExecutions"):
            yield "lambda:PutFunctionConcurrency", arn, {}


def _for_a_moving_alias(update, region, account):
    """What deploying by CodeDeploy takes, and CloudFormation does where an alias has another version."""
    application = f"codedeploy:{region}:{account}:application:{update['ApplicationName']}"
    group = f"codedeploy:{region}:{account}:deploymentgroup:{update['ApplicationName']}/{update['DeploymentGroupName']}"
    how = f"codedeploy:{region}:{account}:deploymentconfig:CodeDeployDefault.LambdaAny"
    for action, resource in (
        ("codedeploy:CreateDeployment", group),
        ("codedeploy:GetDeployment", group),
        ("codedeploy:GetDeploymentConfig", how),
        ("codedeploy:GetApplicationRevision", application),
        ("codedeploy:RegisterApplicationRevision", application),
    ):
        yield action, _arn(resource), {}


def _arn(resource):
    return resource if resource == "*" or resource.startswith("arn:") else f"arn:aws:{resource}"
