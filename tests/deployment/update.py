"""A stack that is in use is changed, and its keys are rotated."""

import base64
import json

import report

CHANGED = {
    "AccessSeconds": 600,
    "AlarmEmail": "another@example.com",
    "CertificateArn": "arn:aws:acm:eu-central-1:000000000000:certificate/00000000-0000-4000-8000-000000000000",
    "CorsOrigins": "https://m.example.com",
    "DomainName": "auth.example.com",
}


def changed_parameters_leave_sessions_keys_and_secrets_as_they_are(play, stack):
    user, keys = play.user(), _published(stack)
    secrets = {name: play.current(id) for name, id in stack.resources().items() if name.endswith("Secret")}

    with report.timed("update of some parameters by SAM"):
        stack.sam_deploy(**CHANGED)

    # From here on every request is one to the domain.
    assert stack.outputs["ApiUrl"] == "https://auth.example.com"
    answer = user.refresh()
    assert answer.status == 200 and answer.json["expires_in"] == 600
    assert _published(stack) == keys
    # Nothing of the schedules changed, so there was no rotation.
    for name, secret in secrets.items():
        assert play.current(secret["ARN"])["VersionId"] == secret["VersionId"], name


def a_second_rotation_brings_new_keys_into_use_and_nobody_has_to_log_in(play, stack):
    user, keys = play.user(), _published(stack)
    assert _kid(user) in keys

    with report.timed("second rotation"):
        for secret in ("KeyringSecret", "SigningKeysSecret"):
            play.rotate(secret, age=2 * 86_400)
    # It is read within five minutes, or by a new process.
    stack.restart("refresh")
    stack.restart("keys")

    before = user.access
    answer = user.refresh()
    assert answer.status == 200, answer
    user.took(answer.json)
    assert _kid(user) in keys and len(_published(stack) - keys) == 1
    # Functions that have not read anything since verify both: the one that is now current was the next one before.
    assert user.call("GET", "/v1/session").status == 200
    assert stack.request("GET", "/v1/session", token=before).status == 200
    play.login()


def _published(stack):
    return {key["kid"] for key in stack.request("GET", "/.well-known/jwks.json").json["keys"]}


def _kid(user):
    header = user.access.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]
