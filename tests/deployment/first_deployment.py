"""A first deployment that fails, and the next try."""

import emulated


def a_first_deployment_without_a_right_fails_and_names_it(failure):
    assert "ROLLBACK_COMPLETE" in failure
    assert "is not authorized to perform: secretsmanager:RotateSecret" in failure


def the_next_try_works_whatever_the_first_left_behind(stack, account):
    client = account.emulator.client("cloudformation")

    assert client.describe_stacks(StackName=stack.name)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
    # The rest are conditional.
    assert {name for name, it in emulated.declared().items() if "Condition" not in it} <= set(stack.resources())


def the_deploying_user_may_do_nothing_else(stack, account):
    denied = account.emulator.denials()
    deployer = [it for it in denied if it["principal"].endswith(f"user/{stack.deployer.user}")]

    # The one that was taken away.
    assert {it["action"] for it in deployer} == {"secretsmanager:RotateSecret"}
