"""What the deploying user was asked for until now, against `infra/deploy-policy.json`."""

from conftest import DEPLOY_POLICY

# What it may do and need not be asked for here, and who asks for it.
LATER = {
    "a gradual rollout": {
        "codedeploy:CreateApplication",
        "codedeploy:CreateDeployment",
        "codedeploy:CreateDeploymentGroup",
        "codedeploy:DeleteApplication",
        "codedeploy:DeleteDeploymentGroup",
        "codedeploy:GetApplication",
        "codedeploy:GetApplicationRevision",
        "codedeploy:GetDeployment",
        "codedeploy:GetDeploymentConfig",
        "codedeploy:GetDeploymentGroup",
        "codedeploy:RegisterApplicationRevision",
        "codedeploy:UpdateDeploymentGroup",
        "lambda:CreateAlias",
        "lambda:DeleteAlias",
        "lambda:GetAlias",
        "lambda:GetFunctionConfiguration",
        "lambda:PublishVersion",
        "lambda:UpdateAlias",
    },
    "a network": {
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
    },
    "set-aside instances": {"lambda:DeleteFunctionConcurrency", "lambda:PutFunctionConcurrency"},
    "a KMS key": {"logs:AssociateKmsKey", "logs:DisassociateKmsKey"},
    "a release that changes the table": {"dynamodb:UpdateTable"},
    "a release that changes what traces need": {"iam:CreatePolicyVersion", "iam:DeletePolicyVersion"},
    "a release that changes who may take a role": {"iam:UpdateAssumeRolePolicy"},
    "a release that changes the description of a secret": {"secretsmanager:UpdateSecret"},
    "a first deployment that fails, where secrets are not retained": {"secretsmanager:DeleteSecret"},
}


def the_deploying_user_was_asked_for_what_it_may(stack, account):
    deployer = f"user/{stack.deployer.user}"
    asked = {it["action"] for it in account.emulator.decisions() if it["principal"].endswith(deployer)}

    held = set()
    for statement in DEPLOY_POLICY["Statement"]:
        actions = statement["Action"]
        held |= set(actions if isinstance(actions, list) else [actions])

    assert held - asked <= set().union(*LATER.values()), sorted(held - asked - set().union(*LATER.values()))
