"""What each function is there for, played on a deployed stack: all that its role lets it do is needed for it.

A play is named like its function. It ends where something is not as a user, the owner or WeChat expects it.
"""

import io
import itertools
import json
import time
import uuid
import zipfile

from emulated import ROOT

FUNCTIONS = sorted(folder.parent.name for folder in ROOT.glob("functions/*/Cargo.toml"))
EVENTS = ROOT / "infra" / "events"
# The owner's function, which gets WeChat's messages and fails over those that have a member `more`.
OWNER = """
def handle(event, context):
    print("told of", event["message"]["Event"])
    assert "more" not in event["message"]
"""

APPID = "wx0123456789abcdef"
APPS = {
    "apps": {
        APPID: {
            "secret": "0123456789abcdef0123456789abcdef",
            "app_keys": {"production": "demoAppKeyOfProduction0123456789"},
        }
    }
}
PUSH = {"apps": {APPID: {"token": "demoPushToken", "encoding_aes_key": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"}}}
PROXY = {"address_header": "x-client-address", "proof_header": "x-proof", "proof": "the-proxy-of-the-tests"}

NUMBERS = itertools.count()


class User:
    """Somebody with the mini program on a phone."""

    def __init__(self, stack, wechat):
        self.stack, self.wechat, self.name = stack, wechat, f"user{next(NUMBERS)}"

    def login(self, key=None):
        """Logs in, and once more with the same code and `Idempotency-Key` where there is one: its answer is lost."""
        code = self.wechat.sim("login", user=self.name)
        headers = {"idempotency_key": key} if key else {}
        for _ in range(2 if key else 1):
            answer = self.stack.request("POST", "/v1/login", code, **headers)
            assert answer.status == 200, answer
        self.took(answer.json)
        self.openid, self.device = answer.json["openid"], answer.json["device"]
        return self

    def took(self, tokens):
        self.access, self.refresh_token = tokens["access_token"], tokens["refresh_token"]

    def refresh(self):
        return self.stack.request("POST", "/v1/refresh", {"refresh_token": self.refresh_token})

    def call(self, method, path, body=None):
        return self.stack.request(method, path, body, token=self.access)

    def button(self, control, **request):
        return self.wechat.sim(control, user=self.name, **request)

    def named(self, **more):
        return {"appid": APPID, "openid": self.openid, **more}


class Play:
    """The stack and what the plays share."""

    def __init__(self, stack, wechat):
        self.stack, self.wechat, self.emulator = stack, wechat, stack.emulator
        # Lines that are older are not looked at: there are soon thousands.
        self.since = 0

    def user(self, key=None):
        return User(self.stack, self.wechat).login(key)

    def all(self):
        return {name: getattr(self, name) for name in FUNCTIONS}

    def lines(self, function):
        """What the function itself wrote into its log group, lately."""
        messages = self._messages(f"/aws/lambda/{self.stack.name}-{function}")
        return [json.loads(message) for message in messages if message.startswith("{")]

    def _messages(self, group):
        pages = self.emulator.client("logs").get_paginator("filter_log_events")
        pages = pages.paginate(logGroupName=group, startTime=self.since)
        return [event["message"] for page in pages for event in page["events"]]

    def _tells_addresses_apart(self, function, path, body=None, token=None, method="POST"):
        """Whether refused requests come from where the proxy says, by the hash in the log."""
        sources = []
        for address in ("192.0.2.1", "192.0.2.2"):
            named = {"x_client_address": address, "x_proof": PROXY["proof"]}
            refused = self.stack.request(method, path, body, token, **named)
            assert 400 <= refused.status < 500, refused
            (line,) = [it for it in self.lines(function) if it["request_id"] == refused.headers["x-request-id"]]
            sources.append(line["source.hash"])
        return sources[0] != sources[1]

    def items(self, prefix):
        """The keys of the table's items that begin so."""
        pages = self.emulator.client("dynamodb").get_paginator("scan")
        items = [item for page in pages.paginate(TableName=self.stack.outputs["TableName"]) for item in page["Items"]]
        return {item["pk"]["S"] for item in items if item["pk"]["S"].startswith(prefix)}

    def forget_platform_token(self, function):
        """The function has to fetch WeChat's access_token, and to store it for all."""
        self.stack.restart(function)
        key = {"pk": {"S": f"app#{APPID}"}, "sk": {"S": "access_token"}}
        self.emulator.client("dynamodb").delete_item(TableName=self.stack.outputs["TableName"], Key=key)

    # ---- What has routes

    def login(self):
        user = self.user(key=str(uuid.uuid4()))
        first = user.refresh_token
        assert user.login(key=str(uuid.uuid4())).refresh_token != first
        assert user.call("GET", "/v1/session").json["openid"] == user.openid
        assert self._tells_addresses_apart("login", "/v1/login", {"code": str(uuid.uuid4())})

    def refresh(self):
        user = self.user()
        answer = user.refresh()
        assert answer.status == 200, answer
        user.took(answer.json)
        assert user.call("GET", "/v1/session").status == 200
        assert self._tells_addresses_apart("refresh", "/v1/refresh", {"refresh_token": "wxr1_" + "A" * 120})

    def phone(self):
        user = self.user()
        pressed = user.button("phone")
        by_data = user.call("POST", "/v1/phone", {name: pressed[name] for name in ("encryptedData", "iv")})
        assert by_data.status == 200, by_data
        self.forget_platform_token("phone")
        # The second is the first again: WeChat gives a number once.
        by_code = [user.call("POST", "/v1/phone", {"code": pressed["code"]}) for _ in range(2)]
        assert all(answer.json == by_data.json for answer in by_code), by_code
        assert self.items(f"app#{APPID}"), "the access_token is not stored"
        assert self._tells_addresses_apart("phone", "/v1/phone", {"code": "invented" * 8}, user.access)
        # A code that WeChat was too busy for can be sent again at once.
        before = self.items("code#")
        self.wechat.sim("script", api="getuserphonenumber", times=1, fault={"kind": "errcode", "errcode": 45009})
        again = {"code": user.button("phone")["code"]}
        assert user.call("POST", "/v1/phone", again).status == 503
        assert self.items("code#") == before, "a mark is left"
        assert user.call("POST", "/v1/phone", again).status == 200

    def userinfo(self):
        user = self.user()
        user.button("user", unionid=f"union-of-{user.name}", nickName=user.name)
        profile = user.call("POST", "/v1/userinfo", user.button("userinfo"))
        assert profile.status == 200 and profile.json["nickName"] == user.name, profile
        steps = user.call("POST", "/v1/opendata", user.button("opendata", data={"stepInfoList": [{"step": 100}]}))
        assert steps.json == {"stepInfoList": [{"step": 100}]}, steps
        assert self._tells_addresses_apart("userinfo", "/v1/userinfo")

    def session(self):
        user = self.user(key=str(uuid.uuid4()))
        self.forget_platform_token("session")
        read = user.call("GET", "/v1/session?wechat=check")
        assert read.status == 200 and read.json["wechat_session"] == "ok", read
        assert self.items(f"app#{APPID}"), "the access_token is not stored"
        listed = user.call("GET", "/v1/sessions")
        assert [it["current"] for it in listed.json["sessions"]] == [True], listed
        assert self._tells_addresses_apart("session", "/v1/session", method="GET")
        assert user.call("DELETE", "/v1/session").status == 204
        assert user.call("GET", "/v1/session").status == 401
        assert user.login().call("DELETE", "/v1/sessions").status == 204
        assert user.refresh().status == 400
        assert user.login(key=str(uuid.uuid4())).call("DELETE", "/v1/user").status == 204
        assert user.refresh().status == 400

    def push(self):
        verify = self.wechat.sim("push", event="verify", echostr="echo")
        assert self.stack.request("GET", f"/v1/push?{verify['query']}").text == "echo"
        user = self.user(key=str(uuid.uuid4()))
        told, before = user.button("push", event="user_info_modified", format="xml"), self.told()
        assert self._pushed(told).text == "success"
        # WeChat repeats it; the owner's function is told once.
        assert self._pushed(self.wechat.sim("repeat", id=told["id"])).text == "success"
        assert self.told() == before + 1
        # A message that the function failed over leaves nothing behind, and may come again at once.
        marks = self.items("code#")
        assert self._pushed(user.button("push", event="user_info_modified", **{"with": {"more": 1}})).status == 503
        assert self.items("code#") == marks, "a mark is left"
        gone = user.button("push", event="user_authorization_cancellation")
        assert self._pushed(gone).text == "success"
        assert user.refresh().status == 400

    def _pushed(self, push):
        return self.stack.request("POST", f"/v1/push?{push['query']}", push["body"], content_type=push["content_type"])

    def told(self):
        """How often the owner's function was told of a message."""
        return sum(message.startswith("told of") for message in self._messages("/aws/lambda/owner"))

    def keys(self):
        discovery = self.stack.request("GET", "/.well-known/openid-configuration")
        assert discovery.json["jwks_uri"].endswith("/.well-known/jwks.json"), discovery
        published = self.stack.request("GET", "/.well-known/jwks.json").json["keys"]
        assert len(published) >= 2 and not any("d" in key for key in published), published

    # ---- What is invoked

    def authorizer(self):
        user = self.user()
        assert self.authorized(user)["context"]["openid"] == user.openid
        user.call("DELETE", "/v1/session")
        assert self.authorized(user)["isAuthorized"] is False

    def authorized(self, user):
        """What the owner's other APIs are told about a request of the user's."""
        event = json.loads((EVENTS / "authorizer.json").read_text())
        event["identitySource"] = [f"Bearer {user.access}"]
        event["headers"]["authorization"] = f"Bearer {user.access}"
        return self._invoked("authorizer", event)

    def admin(self):
        user = self.user(key=str(uuid.uuid4()))
        assert len(self._invoked("admin", user.named(operation="read"))["user"]["sessions"]) == 1
        self.platform()
        assert self._invoked("admin", user.named(operation="reset_session_key")) == {"session_key": "replaced"}
        assert self._invoked("admin", user.named(operation="block"))["ended"] == 1
        assert user.refresh().status == 400
        assert self._invoked("admin", user.named(operation="unblock"))["unblocked"] is True
        assert self._invoked("admin", user.login(key=str(uuid.uuid4())).named(operation="delete"))["deleted"] is True
        assert user.refresh().status == 400

    def platform(self):
        self.forget_platform_token("platform")
        given = self._invoked("platform", {"appid": APPID})
        assert given["access_token"], given
        assert self.items(f"app#{APPID}"), "the access_token is not stored"

    def sign(self):
        user = self.user()
        self.forget_platform_token("sign")
        message = json.dumps({"offerId": "1", "buyQuantity": 1, "env": 0, "currencyType": "CNY"})
        signed = self._invoked("sign", user.named(message=message, check=True, uri="requestVirtualPayment"))
        assert len(signed["signature"]) == len(signed["paySig"]) == 64, signed
        assert self.items(f"app#{APPID}"), "the access_token is not stored"

    def rotation(self):
        """Step by step, as Secrets Manager calls it, for either secret. The keys are too young, so they stay; the public half,
        which somebody has emptied, is written again.
        """
        client, secrets = self.emulator.client("secretsmanager"), self.stack.resources()
        published = self.current(secrets["JwksSecret"])["SecretString"]
        client.put_secret_value(SecretId=secrets["JwksSecret"], SecretString='{"keys":[]}')
        try:
            for secret in ("KeyringSecret", "SigningKeysSecret"):
                event = {"SecretId": secrets[secret], "ClientRequestToken": str(uuid.uuid4())}
                for step in ("createSecret", "setSecret", "testSecret", "finishSecret"):
                    self._invoked("rotation", event | {"Step": step})
                assert self.current(event["SecretId"])["VersionId"] == event["ClientRequestToken"]
            assert json.loads(self.current(secrets["JwksSecret"])["SecretString"]) == json.loads(published)
        finally:
            client.put_secret_value(SecretId=secrets["JwksSecret"], SecretString=published)

    def _invoked(self, function, event):
        answer = self.stack.invoke(function, event)
        assert not answer.failed, answer
        return answer.json

    # ---- Keys

    def current(self, secret):
        return self.emulator.client("secretsmanager").get_secret_value(SecretId=secret)

    def rotate(self, secret, age=0):
        """Has Secrets Manager rotate a secret whose next key is so many seconds older than it is, and waits until it did."""
        client = self.emulator.client("secretsmanager")
        arn = self.stack.resources()[secret]
        if age:
            value = _older(json.loads(self.current(arn)["SecretString"]), age)
            client.put_secret_value(SecretId=arn, SecretString=json.dumps(value))
        version = client.rotate_secret(SecretId=arn)["VersionId"]
        self.wait_for(lambda: self.current(arn)["VersionId"] == version)

    def wait_for(self, condition, seconds=30):
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until
            time.sleep(0.1)


def now():
    """In milliseconds, as log events are timed."""
    return int(time.time() * 1000)


def _older(value, seconds):
    """A keyring or a JWK set whose keys were made so much earlier."""
    if isinstance(value["keys"], list):
        return {"keys": [key | {"made_at": key["made_at"] - seconds} for key in value["keys"]]}
    return value | {"made_at": {number: at - seconds for number, at in value["made_at"].items()}}


def owner(emulator):
    """Makes the owner's function, and gives its ARN."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as package:
        package.writestr("owner.py", OWNER)
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
    iam = emulator.client("iam")
    role = iam.create_role(RoleName="owner", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]["Arn"]
    logs = {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}
    emulator.client("logs").create_log_group(logGroupName="/aws/lambda/owner")
    iam.put_role_policy(RoleName="owner", PolicyName="logs", PolicyDocument=json.dumps({"Statement": [logs]}))
    made = emulator.client("lambda").create_function(
        FunctionName="owner", Runtime="python3.12", Handler="owner.handle", Role=role, Code={"ZipFile": code.getvalue()}
    )
    return made["FunctionArn"]
