"""From an unpacked release to a URL by one command: a first deployment that fails, and the next try."""

import emulated


def a_first_deployment_without_a_right_fails_and_names_it(failure):
    assert "Stopped at: Deploying wxauth" in failure
    assert "is not authorized to perform: secretsmanager:RotateSecret" in failure


def the_same_command_again_leads_to_a_url_that_works_whatever_the_first_left_behind(second, stack, account):
    assert "Clearing away a deployment that failed" in second
    # The table is protected, so it has outlived the first.
    assert "Taking up what an earlier deployment of wxauth left" in second
    assert "code_invalid: it works" in second
    assert f'createAuth({{ baseUrl: "{stack.outputs["ApiUrl"]}" }})' in second
    # The rest are conditional.
    assert {name for name, it in emulated.declared().items() if "Condition" not in it} <= set(stack.resources())
    tables = account.emulator.client("dynamodb").list_tables()["TableNames"]
    assert tables == [stack.resources()["Table"]]


def nothing_is_asked_but_appid_and_appsecret(second):
    assert second.count("(not shown)") == 2


def the_deploying_user_may_do_nothing_else(stack, account):
    denied = account.emulator.denials()
    deployer = [it for it in denied if it["principal"].endswith(f"user/{stack.deployer.user}")]

    # The one that was taken away.
    assert {it["action"] for it in deployer} == {"secretsmanager:RotateSecret"}
