"""The stack is removed."""

import report
from conftest import DEPLOY_POLICY

# What the deploying user may do and need not be asked for here, and who asks for it.
LATER = {
    "dynamodb:UpdateTable": "a release that changes the table",
    "secretsmanager:DeleteSecret": "a first deployment that fails, where secrets are not retained",
    "iam:CreatePolicyVersion": "a release that changes what traces need",
    "iam:DeletePolicyVersion": "a release that changes what traces need",
    "iam:UpdateAssumeRolePolicy": "a release that changes who may take a role",
    "secretsmanager:UpdateSecret": "a release that changes the description of a secret",
    "cloudformation:ListStackResources": "infra/deploy, which is not run here",
    "dynamodb:ListTables": "infra/deploy",
    "s3:ListBucket": "infra/deploy",
    "secretsmanager:GetSecretValue": "infra/deploy",
    "secretsmanager:ListSecrets": "infra/deploy",
}


def table_and_secrets_stay(play, stack, account):
    kept = {name: id for name, id in stack.resources().items() if name.endswith("Secret")}
    items = play.items("")
    assert items

    with report.timed("removal"):
        stack.remove()

    for secret in kept.values():
        assert play.current(secret)["SecretString"]
    assert play.items("") == items


def the_deploying_user_was_asked_for_what_it_may(stack, account):
    deployer = f"user/{stack.deployer.user}"
    asked = {it["action"] for it in account.emulator.decisions() if it["principal"].endswith(deployer)}

    held = set()
    for statement in DEPLOY_POLICY["Statement"]:
        actions = statement["Action"]
        held |= set(actions if isinstance(actions, list) else [actions])

    assert held - asked <= set(LATER)
