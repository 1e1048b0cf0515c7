"""`infra/deploy` and `infra/package`, run against stand-ins for the commands that they call (`fakes.py`)."""

import contextlib
import copy
import json
import os
import pathlib
import pty
import re
import shutil
import subprocess
import tarfile
import termios
import time
import tomllib
import types

import fakes
import pytest
import support
import yaml

# The bash that runs the scripts. macOS has 3.2.
BASH = os.environ.get("DEPLOY_BASH", "bash")

APPID, SECRET = "wx0123456789abcdef", "0123456789abcdef0123456789abcdef"
URL = "https://abc.execute-api.eu-central-1.amazonaws.com"

# What the scripts take from the machine, and what is put in its place.
MACHINE = """awk bash cat chmod cp cut date dirname env grep head mkdir mktemp mv rm sed sha256sum sort tail tar tr uniq
gzip""".split()

# What infra/package packs, and it.
FILES = [file for folder in ("infra", "infra/recipes") for file in sorted((support.ROOT / folder).iterdir()) if file.is_file()]


class Desk:
    """A clone of the repository, the tools, and an account."""

    def __init__(self, folder):
        self.folder, self.repository, self.bin = folder, folder / "repository", folder / "bin"
        for path in (self.repository / "infra" / "recipes", self.bin, folder / "tmp", self.repository / "functions"):
            path.mkdir(parents=True)
        for file in FILES:
            shutil.copy(file, self.repository / file.relative_to(support.ROOT))
        shutil.copy(support.ROOT / "Cargo.toml", self.repository)
        for function in (support.ROOT / "functions").glob("*/Cargo.toml"):
            (self.repository / "functions" / function.parent.name).mkdir()
        for tool in MACHINE:
            (self.bin / tool).symlink_to(shutil.which(BASH if tool == "bash" else tool))
        (self.bin / "sleep").symlink_to(shutil.which("true"))
        self.account = fakes.Account(folder, shutil.which(BASH))
        self.has(
            aws="aws-cli/2.27.1 Python/3.13.2 Darwin/24.4.0",
            cargo="cargo 1.97.0 (abc 2026-01-01)",
            zig="0.17.1",
            region="eu-central-1",
            status="none",
            stack={},
            left={},
            bucket=False,
            outputs={"ApiUrl": URL},
            jwks='{"keys":[{"kid":"a"}]}',
            login='{"type":"urn:x","code":"code_invalid","action":"relogin"}',
            fails="",
            tables="",
            marker=SECRET,
            **{"cargo-lambda": "cargo-lambda 1.9.2 (abc 2026-08-21Z)"},
        )

    @property
    def state(self):
        return copy.deepcopy(self.account.state)

    def has(self, **state):
        self.account.state |= state

    def is_deployed(self):
        """The account is as after a first deployment."""
        self.has(
            status="UPDATE_COMPLETE",
            stack=fakes.FRESH | {"AppsSecret": json.dumps({"apps": {APPID: {"secret": SECRET}}}, separators=(",", ":"))},
            bucket=True,
        )

    def was_removed(self):
        """The account is as after --destroy."""
        self.is_deployed()
        self.has(left=self.state["stack"], stack={}, status="none")

    @property
    def environment(self):
        return {"PATH": str(self.bin), "TMPDIR": str(self.folder / "tmp"), "HOME": "/nowhere"}

    def runs(self, *arguments, types="", script="infra/deploy", **environment):
        """Runs the script, which is answered with `types`."""
        self.account.seen = []
        done = subprocess.run(
            [shutil.which(BASH), self.repository / script, *arguments],
            input=types,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.calls = [seen["call"] for seen in self.account.seen]
        # Whatever happens, an AppSecret is in no argument, no environment, no file and nothing that is printed.
        for seen in self.account.seen:
            assert SECRET not in seen["call"] and SECRET not in seen["environment"], seen["call"]
            assert not seen["on_disk"], seen["call"]
        assert SECRET not in done.stdout + done.stderr
        assert list((self.folder / "tmp").iterdir()) == []
        return done

    def deploys(self, *arguments, **more):
        done = self.runs(*arguments, **{"types": f"{APPID}\n{SECRET}\n"} | more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def called(self, words):
        return [call for call in self.calls if call.startswith(words)]


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    yield desk
    desk.account.close()


def _changes(calls):
    """The calls that change something."""
    reads = ("--version", "describe", "list-", "get-", "configure get", "head-bucket", "-m ziglang", "wait")
    return [call for call in calls if not any(f" {read}" in call for read in reads)]


# ---- From nothing to a URL ---------------------------------------------------------------------------------------------------------


def a_first_deployment_asks_for_appid_and_appsecret_alone_and_ends_with_the_url(desk):
    done = desk.deploys()

    assert done.stderr.count(": ") == 2 and "AppID" in done.stderr and "AppSecret" in done.stderr
    assert json.loads(desk.state["stack"]["AppsSecret"]) == {"apps": {APPID: {"secret": SECRET}}}
    assert f'createAuth({{ baseUrl: "{URL}" }})' in done.stdout
    assert "enter abc.execute-api.eu-central-1.amazonaws.com under the server domains" in done.stdout
    assert "code_invalid: it works" in done.stdout
    (upload,) = desk.called("aws cloudformation package")
    assert "--s3-bucket wxauth-123456789012-eu-central-1" in upload


def a_second_deployment_asks_nothing_and_leaves_the_secret_alone(desk):
    desk.is_deployed()
    first = desk.state["stack"]["AppsSecret"]

    done = desk.deploys(types="")

    assert done.stderr == "" and desk.state["stack"]["AppsSecret"] == first
    assert not desk.called("aws secretsmanager put-secret-value") and not desk.called("aws s3api create-bucket")


@pytest.mark.parametrize("name", ["answer", "text", "members", "rest", "body"])
def a_variable_that_the_caller_exports_carries_no_secret(desk, name):
    # `runs` looks into each environment.
    desk.deploys(**{name: "exported", "SHELLOPTS": "allexport"})


def a_region_of_its_own_is_named_to_the_bucket_but_the_first_is_not(desk):
    desk.deploys()
    assert desk.called("aws s3api create-bucket")[0].endswith("LocationConstraint=eu-central-1")
    desk.has(status="none", stack={}, bucket=False, region="us-east-1")
    desk.deploys()
    assert "LocationConstraint" not in desk.called("aws s3api create-bucket")[0]


def a_bucket_of_somebody_elses_is_not_used(desk):
    # head-bucket names the owner who is expected, so another's is refused, and cannot be created either.
    desk.has(fails="aws s3api create-bucket")

    done = desk.runs(types=f"{APPID}\n{SECRET}\n")

    assert done.returncode != 0 and "--expected-bucket-owner 123456789012" in desk.called("aws s3api head-bucket")[0]
    assert not desk.called("aws cloudformation package")


def what_these_tests_call_deployed_is_what_a_first_deployment_leaves(desk):
    desk.deploys()
    left = desk.state

    desk.has(status="none", stack={}, bucket=False)
    desk.is_deployed()

    assert desk.state == left


# ---- What is typed -----------------------------------------------------------------------------------------------------------------


def nothing_that_is_typed_on_a_terminal_is_shown(desk):
    ours, theirs = pty.openpty()
    command = [shutil.which(BASH), desk.repository / "infra/deploy"]
    script = subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, bufsize=0, env=desk.environment
    )
    for typed in (APPID, SECRET):
        asked = b""
        while not asked.endswith(b"(not shown): "):
            asked += script.stderr.read(1) or pytest.fail(asked.decode())
        until = time.monotonic() + 10
        while termios.tcgetattr(theirs)[3] & termios.ECHO:
            assert time.monotonic() < until, "what is typed would be shown"
        os.write(ours, f"{typed}\n".encode())

    script.stderr.read()
    assert script.wait(timeout=60) == 0
    assert json.loads(desk.state["stack"]["AppsSecret"]) == {"apps": {APPID: {"secret": SECRET}}}
    os.set_blocking(ours, False)
    with contextlib.suppress(BlockingIOError):
        shown = os.read(ours, 65536).decode()
        assert APPID not in shown and SECRET not in shown
    os.close(ours)
    os.close(theirs)


def what_has_another_form_is_asked_again(desk):
    typed = ["wx0123456789ABCDEF", "wx0123", SECRET, f"  {APPID} ", "0123", APPID, f"{SECRET}\r"]

    done = desk.deploys(types="\n".join(typed) + "\n")

    assert done.stderr.count("another form") == 5
    assert json.loads(desk.state["stack"]["AppsSecret"]) == {"apps": {APPID: {"secret": SECRET}}}


@pytest.mark.parametrize("typed", ["", APPID, f"{APPID}\n"])
def who_stops_typing_has_changed_nothing(desk, typed):
    done = desk.runs(types=typed)

    assert done.returncode != 0 and "nothing was changed" in done.stderr
    assert _changes(desk.calls) == []


def one_more_mini_program_leaves_the_others_as_they_are(desk):
    others = '{\n "apps" : { "wxother": {"secret": "s", "app_keys": {"production": "}"}}, "wxthird":{"secret":"t"} }\n}'
    desk.deploys()
    desk.has(stack=desk.state["stack"] | {"AppsSecret": others})

    desk.deploys("--app")

    apps = json.loads(desk.state["stack"]["AppsSecret"])["apps"]
    assert apps == json.loads(others)["apps"] | {APPID: {"secret": SECRET}}
    # Functions that run do not know it at once, so it is not tried with it.
    assert not desk.called("aws cloudformation deploy") and not desk.called("curl")
    desk.deploys("--smoke-test", types="")
    assert '"appid":"wxthird"' in desk.called("curl")[0]


@pytest.mark.parametrize("text", ['{"apps":[]}', "{}", "", '{"x":{"apps":{}}}', '{"other":1,"apps":{}}'])
def a_secret_of_another_shape_is_left_as_it_is(desk, text):
    desk.is_deployed()
    desk.has(stack=desk.state["stack"] | {"AppsSecret": text})

    done = desk.runs("--app", types=f"{APPID}\n{SECRET}\n")

    assert done.returncode != 0 and "left as it is" in done.stderr
    assert desk.state["stack"]["AppsSecret"] == text


@pytest.mark.parametrize("action", [[], ["--app"], ["--push"], ["--smoke-test"], ["--brake"]])
def a_secret_that_cannot_be_read_is_not_taken_for_an_empty_one(desk, action):
    desk.is_deployed()
    desk.has(fails="aws secretsmanager get-secret-value")

    done = desk.runs(*action, types=f"{APPID}\n{SECRET}\n")

    assert done.returncode != 0 and "does not work today" in done.stderr
    assert "is configured" not in done.stderr and "(not shown)" not in done.stderr
    assert _changes(desk.calls) == []


def an_appsecret_that_is_there_is_not_replaced(desk):
    desk.is_deployed()

    done = desk.runs("--app", types=f"{APPID}\n{SECRET[::-1]}\n")

    assert done.returncode != 0 and "change-an-appsecret" in done.stderr
    assert not desk.called("aws secretsmanager put-secret-value")


def message_push_is_asked_for_and_belongs_to_the_one_mini_program(desk):
    desk.is_deployed()
    key = "k" * 43

    desk.deploys("--push", types=f"Token123\n{key}\n")

    expected = {"apps": {APPID: {"token": "Token123", "encoding_aes_key": key}}}
    assert json.loads(desk.state["stack"]["PushSecret"]) == expected


def in_the_plain_mode_there_is_no_encoding_key(desk):
    desk.is_deployed()

    desk.deploys("--push", types="Token123\n\n")

    assert json.loads(desk.state["stack"]["PushSecret"]) == {"apps": {APPID: {"token": "Token123"}}}


# ---- Tools -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "has", "sentence", "line"),
    [
        ("aws", "", "The AWS CLI is missing", "brew install awscli"),
        ("aws", "aws-cli/1.18.9 Python/3.8", "The AWS CLI 1.18.9 is too old", "pipx install awscli"),
        ("cargo", "", "Rust is missing", "sh.rustup.rs"),
        ("cargo", "cargo 1.80.0 (abc)", "Rust 1.80.0 is older than 1.94.1", "sh.rustup.rs"),
        ("cargo-lambda", "error: no such command: `lambda`", "cargo-lambda is missing", "-m venv target/python"),
        ("cargo-lambda", "cargo-lambda 0.21.1 (abc)", "cargo-lambda 0.21.1 is older than 1.9.0", "-m venv target/python"),
        ("zig", "", "cargo-lambda finds no zig", "-m venv target/python"),
        ("curl", "", "curl is missing", "install curl"),
    ],
)
def a_tool_that_is_missing_or_old_is_named_with_the_line_that_gets_it(desk, tool, has, sentence, line):
    if tool in desk.state:
        desk.has(**{tool: has})
    if not has and (desk.bin / tool).exists():
        (desk.bin / tool).unlink()

    done = desk.runs()

    assert done.returncode != 0 and sentence in done.stderr and line in done.stderr, done.stderr
    assert _changes(desk.calls) == []


def who_builds_nothing_needs_no_rust(desk):
    desk.is_deployed()
    (desk.bin / "cargo").unlink()

    for action in ("--brake", "--smoke-test", "--destroy"):
        desk.deploys(action, types="")


def the_line_for_cargo_lambda_can_be_pasted(desk):
    desk.has(zig="")
    line = next(line for line in desk.runs().stderr.splitlines() if "venv" in line)

    requirements = line.split(" -r ")[1]

    assert "cargo-lambda==" in (support.ROOT / requirements).read_text()


@pytest.mark.parametrize("region", ["", "cn-north-1"])
def a_region_is_needed_and_taken_from_the_aws_cli_or_the_environment(desk, region):
    desk.has(region="")

    done = desk.runs("--dry-run", **({"AWS_REGION": region} if region else {}))

    assert (done.returncode == 0) == bool(region) and (region or "AWS_REGION=") in done.stdout + done.stderr


# ---- What goes wrong ---------------------------------------------------------------------------------------------------------------

STEPS = [
    "aws sts get-caller-identity",
    "aws cloudformation describe-stacks",
    "aws dynamodb list-tables",
    "aws secretsmanager list-secrets",
    "cargo lambda build",
    "aws s3api create-bucket",
    "aws cloudformation package",
    "aws cloudformation deploy",
    "aws secretsmanager put-secret-value",
]


@pytest.mark.parametrize("step", STEPS)
def a_command_that_fails_is_the_last(desk, step):
    desk.has(fails=step)

    done = desk.runs(types=f"{APPID}\n{SECRET}\n")

    assert done.returncode != 0 and "createAuth" not in done.stdout
    assert not any(call.startswith(later) for later in STEPS[STEPS.index(step) + 1 :] for call in desk.calls)
    assert "does not work today" in done.stderr or "Stopped at: " in done.stderr

    # Once the cause is mended, the same command again is all.
    desk.has(fails="")
    desk.deploys()


def a_deployment_that_cloudformation_refuses_says_why(desk):
    desk.has(fails="aws cloudformation deploy")

    done = desk.runs(types=f"{APPID}\n{SECRET}\n")

    assert "LoginFunction\tThe reason." in done.stderr and "cancelled" not in done.stderr
    assert "Stopped at: Deploying wxauth to eu-central-1" in done.stderr


def a_first_deployment_that_failed_is_cleared_away_and_its_table_taken_up(desk):
    desk.has(status="ROLLBACK_COMPLETE", left={"Table": None})

    desk.deploys()

    changes = [call.split()[2] for call in _changes(desk.called("aws cloudformation"))]
    assert changes == ["delete-stack", "create-change-set", "execute-change-set", "package", "deploy"]
    assert [it["LogicalResourceId"] for it in desk.state["imports"]] == ["Table"]


@pytest.mark.parametrize(
    ("status", "sentence"),
    [("UPDATE_IN_PROGRESS", "another deployment is under way"), ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback")],
)
def a_stack_that_cannot_be_deployed_over_is_left_alone(desk, status, sentence):
    desk.is_deployed()
    desk.has(status=status)

    done = desk.runs()

    assert done.returncode != 0 and sentence in done.stderr
    assert _changes(desk.calls) == []


def there_is_no_url_before_there_are_keys(desk):
    desk.has(jwks='{"code":"unavailable"}')

    done = desk.runs(types=f"{APPID}\n{SECRET}\n")

    assert done.returncode != 0 and "rotationalarm" in done.stderr and len(desk.called("curl")) == 60


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ('{"code":"misconfigured"}', "WeChat refuses AppID, AppSecret or address"),
        ('{"code":"unavailable"}', "there are no keys"),
        ('{"code":"wechat_timeout"}', "WeChat does not answer as it should"),
        ('{"message":"Internal Server Error"}', "infra/README.md#smoke-test"),
        ("", "infra/README.md#smoke-test"),
    ],
)
def a_smoke_test_says_what_another_answer_means(desk, answer, sentence):
    desk.has(login=answer)

    done = desk.runs(types=f"{APPID}\n{SECRET}\n")

    assert done.returncode != 0 and sentence in done.stderr


# ---- Without changing anything -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [[], ["--app"], ["--push"], ["--brake"], ["--destroy"]])
def a_dry_run_asks_nothing_and_changes_nothing(desk, action):
    desk.is_deployed()
    before, config = desk.state, (desk.repository / "infra/samconfig.toml").read_text()

    done = desk.deploys("--dry-run", "--parameter", "Memory=512", *action, types="")

    assert done.stderr == "" and "would" in done.stdout
    assert _changes(desk.calls) == [] and desk.state == before
    assert (desk.repository / "infra/samconfig.toml").read_text() == config


def a_dry_run_says_what_comes_first(desk):
    built, fetched = (desk.deploys("--dry-run", *options, types="").stdout for options in ([], ["--release", "v1.0.0"]))
    _release(desk).rename(desk.folder / "unpacked")
    shutil.rmtree(desk.repository)
    (desk.folder / "unpacked").rename(desk.repository)
    desk.is_deployed()

    checked = desk.deploys("--dry-run", types="").stdout

    assert "It would ask for AppID and AppSecret, then build, deploy," in built
    assert "It would ask for AppID and AppSecret, then fetch release v1.0.0, deploy," in fetched
    assert "It would ask nothing, check the release, deploy," in checked


# ---- Settings ----------------------------------------------------------------------------------------------------------------------


def _config(desk):
    return tomllib.loads((desk.repository / "infra/samconfig.toml").read_text())


def a_parameter_is_given_once_and_kept_where_sam_build_and_sam_deploy_read_it(desk):
    desk.deploys("--parameter", "Memory=512", "--parameter", "AlarmEmail=me@example.com")
    desk.deploys("--parameter", "Memory=1024", types="")
    desk.deploys(types="")

    kept = ["AlarmEmail=me@example.com", "Memory=1024"]
    config = _config(desk)["default"]
    assert config["global"]["parameters"]["parameter_overrides"] == kept
    assert config["global"]["parameters"]["stack_name"] == "wxauth"
    assert all("parameter_overrides" not in config[command]["parameters"] for command in ("build", "deploy"))
    assert desk.state["parameters"] == ["Architecture=arm64", *kept]


def what_sam_deploy_guided_saved_counts_as_well(desk):
    file = desk.repository / "infra/samconfig.toml"
    guided = r'parameter_overrides = "DomainName=\"\" Memory=\"512\" Audience=\"a b\" NotBefore=\"0\""'
    file.write_text(file.read_text().replace("[default.deploy.parameters]\n", f"[default.deploy.parameters]\n{guided}\n"))

    desk.deploys("--parameter", "Memory=1024")

    kept = ["DomainName=", "Audience=a b", "NotBefore=0", "Memory=1024"]
    assert desk.state["parameters"] == ["Architecture=arm64", *kept]
    assert _config(desk)["default"]["global"]["parameters"]["parameter_overrides"] == kept
    assert "parameter_overrides" not in _config(desk)["default"]["deploy"]["parameters"]


def an_array_on_several_lines_is_read_and_written(desk):
    file = desk.repository / "infra/samconfig.toml"
    array = 'parameter_overrides = [\n  "Memory=512",\n  "LogRetentionDays=7",\n]\n'
    file.write_text(file.read_text().replace("[default.deploy.parameters]\n", f"[default.deploy.parameters]\n{array}"))

    desk.deploys("--parameter", "LogRetentionDays=14")

    assert desk.state["parameters"] == ["Architecture=arm64", "Memory=512", "LogRetentionDays=14"]
    assert _config(desk)["default"]["global"]["parameters"]["parameter_overrides"] == ["Memory=512", "LogRetentionDays=14"]


@pytest.mark.parametrize("parameter", ["Memroy=512", "Memory", "=1", 'Audience=a"b', "Audience=a\\b", "Table=x"])
def a_parameter_that_the_template_does_not_have_is_refused(desk, parameter):
    done = desk.runs("--parameter", parameter)

    assert done.returncode != 0 and "--parameter" in done.stderr and desk.calls == []


def a_stage_has_its_own_stack_and_settings(desk):
    desk.deploys("--stage", "dev")
    (deploy,) = desk.called("aws cloudformation deploy")
    assert "--stack-name wxauth-dev " in deploy and deploy.endswith("LogRetentionDays=7")
    assert desk.state["parameters"] == ["Architecture=arm64", "LogRetentionDays=7"]


def a_stage_that_is_new_gets_its_sections(desk):
    desk.deploys("--stage", "trial", "--parameter", "Memory=512")

    config = _config(desk)
    assert config["trial"]["global"]["parameters"] == {"stack_name": "wxauth-trial", "parameter_overrides": ["Memory=512"]}
    assert config["trial"]["deploy"]["parameters"] == config["default"]["deploy"]["parameters"] | {"s3_prefix": "wxauth-trial"}
    assert config["default"] == tomllib.loads((support.ROOT / "infra/samconfig.toml").read_text())["default"]


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--stage"], ["--stage", "a b"], ["--release", "../x"], ["x"]])
def an_option_that_is_none_is_refused(desk, arguments):
    done = desk.runs(*arguments)

    assert done.returncode != 0 and done.stderr and desk.calls == []


def help_names_every_option(desk):
    done = desk.runs("--help")

    options = set(re.findall(r"--[a-z][a-z-]*", (support.ROOT / "infra/deploy").read_text().split("# ---- samconfig")[0]))
    assert done.returncode == 0 and done.stdout.startswith("Deploys wxauth")
    assert options - {"--help"} <= set(re.findall(r"--[a-z-]+", done.stdout))


def with_a_domain_it_is_tried_before_its_dns_record_is_there(desk):
    desk.has(outputs={"ApiUrl": "https://auth.example.com", "DomainTarget": "d-1.execute-api.eu-central-1.amazonaws.com"})

    done = desk.deploys()

    route = "--connect-to auth.example.com:443:d-1.execute-api.eu-central-1.amazonaws.com:443"
    assert all(route in call for call in desk.called("curl")) and desk.called("curl")
    assert "auth.example.com is a CNAME of d-1.execute-api" in done.stdout


# ---- Processors --------------------------------------------------------------------------------------------------------------------


def _template(text):
    return yaml.load(text, support._Loader)


@pytest.mark.parametrize(("architecture", "target"), [("arm64", "aarch64"), ("x86_64", "x86_64")])
def what_is_built_is_what_is_deployed(desk, architecture, target):
    desk.deploys("--parameter", f"Architecture={architecture}")

    template = _template(desk.state["template"])
    assert template["Globals"]["Function"]["Architectures"] == [architecture]
    assert template["Parameters"]["Architecture"]["Default"] == architecture
    (rule,) = template["Rules"]["BuiltForArchitecture"]["Assertions"]
    assert rule["Assert"] == {"Fn::Equals": [{"Ref": "Architecture"}, architecture]}
    assert f"Architecture={architecture}" in desk.state["parameters"]
    assert f"--target {target}-unknown-linux-gnu" in desk.called("cargo lambda build")[0]
    package = desk.repository / "target" / f"package-{architecture}"
    functions = {it["Properties"]["CodeUri"] for it in template["Resources"].values() if it["Type"] == "AWS::Serverless::Function"}
    assert functions == {file.name for file in package.glob("*.zip")}
    assert functions == {f"{folder.name}.zip" for folder in (desk.repository / "functions").iterdir()}
    assert all(target in (package / name).read_text() for name in functions)


def the_template_of_the_source_is_for_one_processor_whatever_sam_is_told():
    template = support.source()

    (rule,) = template["Rules"]["BuiltForArchitecture"]["Assertions"]
    assert template["Globals"]["Function"]["Architectures"] == [template["Parameters"]["Architecture"]["Default"]]
    assert rule["Assert"] == {"Fn::Equals": [{"Ref": "Architecture"}, template["Parameters"]["Architecture"]["Default"]]}


# ---- A part of the users first -----------------------------------------------------------------------------------------------------


def a_rollout_is_written_into_what_is_deployed_now_and_later(desk):
    desk.deploys("--parameter", "Rollout=Canary10Percent10Minutes")
    first = desk.state["template"]
    desk.deploys(types="")

    for text in (first, desk.state["template"]):
        function = _template(text)["Resources"]["LoginFunction"]["Properties"]
        assert function["DeploymentPreference"]["Type"] == "Canary10Percent10Minutes"


def without_a_rollout_there_is_no_alias(desk):
    desk.deploys()

    assert "AutoPublishAlias" not in desk.state["template"]


# ---- Releases ----------------------------------------------------------------------------------------------------------------------


def _release(desk, version="v1.0.0", architecture="arm64"):
    """A release as the workflow makes it, and the folder that is in its archive."""
    jobs = yaml.safe_load((support.ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    (pack,) = [step["run"] for step in jobs["archive"]["steps"] if "infra/package" in step.get("run", "")]
    (sums,) = [step["run"] for step in jobs["draft"]["steps"] if "SHA256SUMS" in step.get("run", "") and "gh " not in step["run"]]
    for name in ("README.md", "README.zh-CN.md", "CHANGELOG.md", "LICENSE-MIT"):
        (desk.repository / name).touch()
    (desk.repository / "workflow").write_text(f"set -eu\ncd {desk.repository}\n{pack}\n{sums}\n")
    done = desk.runs(script="workflow", GITHUB_REF_NAME=version, ARCHITECTURE=architecture)
    assert done.returncode == 0, done.stderr
    folder = desk.folder / "releases" / version
    folder.mkdir(parents=True)
    for file in ("SHA256SUMS", f"wxauth-{version}-{architecture}.tar.gz"):
        (desk.repository / file).rename(folder / file)
    with tarfile.open(folder / f"wxauth-{version}-{architecture}.tar.gz") as archive:
        archive.extractall(desk.folder, filter="data")
    return desk.folder / f"wxauth-{version}-{architecture}"


def a_release_is_deployed_without_rust(desk):
    _release(desk)
    (desk.bin / "cargo").unlink()
    (desk.bin / "python3").unlink()

    desk.deploys("--release", "v1.0.0")

    assert "https://github.com/wxauth/wxauth/releases/download/v1.0.0/wxauth-v1.0.0-arm64.tar.gz" in desk.called("curl")[0]
    assert "CodeUri: login.zip" in desk.state["template"]


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def a_release_that_was_unpacked_deploys_itself_for_its_processor(desk, architecture):
    unpacked = _release(desk, architecture=architecture)
    shutil.rmtree(desk.repository)
    unpacked.rename(desk.repository)
    (desk.bin / "cargo").unlink()

    desk.deploys("--parameter", "Memory=512")
    desk.deploys(types="")

    assert desk.state["parameters"] == [f"Architecture={architecture}", "Memory=512"]
    assert "CodeUri: login.zip" in desk.state["template"]


def what_the_script_points_at_is_in_a_release(desk):
    unpacked = _release(desk)

    named = set(re.findall(r"infra/[\w/-]+\.\w+", (unpacked / "infra/deploy").read_text()))

    assert {"infra/OPERATE.md", "infra/README.md", "infra/CHINA.md"} <= named
    assert [name for name in sorted(named) if not (unpacked / name).exists()] == []
    assert (unpacked / "infra/deploy-policy.json").exists()


@pytest.mark.parametrize("harm", ["archive", "sums", "absent"])
def a_release_that_is_not_what_was_published_is_not_deployed(desk, harm):
    _release(desk)
    folder = desk.folder / "releases/v1.0.0"
    if harm == "archive":
        with (folder / "wxauth-v1.0.0-arm64.tar.gz").open("ab") as archive:
            archive.write(b"x")
    elif harm == "sums":
        (folder / "SHA256SUMS").write_text("")
    else:
        shutil.rmtree(folder)

    done = desk.runs("--release", "v1.0.0", types=f"{APPID}\n{SECRET}\n")

    assert done.returncode != 0 and "Stopped at: Fetching release v1.0.0" in done.stderr
    assert not desk.called("aws cloudformation deploy")


def a_zip_that_was_changed_after_it_was_unpacked_is_not_deployed(desk):
    unpacked = _release(desk)
    (unpacked / "infra/login.zip").write_text("another")
    shutil.rmtree(desk.repository)
    unpacked.rename(desk.repository)

    done = desk.runs(types=f"{APPID}\n{SECRET}\n")

    assert done.returncode != 0 and not desk.called("aws cloudformation deploy")


def a_release_for_another_processor_is_not_deployed(desk):
    unpacked = _release(desk)
    shutil.rmtree(desk.repository)
    unpacked.rename(desk.repository)

    done = desk.runs("--parameter", "Architecture=x86_64", types=f"{APPID}\n{SECRET}\n")

    assert done.returncode != 0 and "not for x86_64" in done.stderr and not desk.called("aws cloudformation deploy")


# ---- The workflow ------------------------------------------------------------------------------------------------------------------

WORKFLOW = yaml.safe_load((support.ROOT / ".github/workflows/deploy.yml").read_text())["jobs"]["deploy"]


def _chosen(expression, **inputs):
    """What GitHub makes of `A == 'x' && B || C` and of a name."""
    text = expression.removeprefix("${{").removesuffix("}}").strip()
    for word, python in (("&&", "and"), ("||", "or")):
        text = text.replace(word, python)
    return eval(text, {"inputs": types.SimpleNamespace(**inputs)})  # an expression of our own workflow


@pytest.mark.parametrize("stage", ["default", "dev", "prod", "cn"])
@pytest.mark.parametrize("rollout", ["as samconfig.toml says", "Canary10Percent10Minutes"])
def the_workflow_deploys_each_stage_for_its_processor_by_the_rollout_that_was_chosen(desk, stage, rollout):
    desk.deploys("--stage", stage)
    *_, build, _, deploy = [step for step in WORKFLOW["steps"] if "run" in step or "configure-aws" in step.get("uses", "")]
    script = desk.repository / "workflow"
    script.write_text(f"set -eu\ncd {desk.repository}\n{build['run']}\n{deploy['run']}\n")
    told = {name: _chosen(text, stage=stage, rollout=rollout) for name, text in (WORKFLOW["env"] | deploy["env"]).items()}

    desk.deploys(script="workflow", types="", **told)

    wanted = dict(given.split("=") for given in desk.state["parameters"])
    processor = "x86_64" if stage == "cn" else "arm64"
    assert wanted["Architecture"] == _template(desk.state["template"])["Globals"]["Function"]["Architectures"][0] == processor
    assert wanted.get("Rollout", "as samconfig.toml says") == rollout
    assert ("AutoPublishAlias" in desk.state["template"]) == (rollout != "as samconfig.toml says")
    assert f"--stack-name wxauth{'' if stage == 'default' else f'-{stage}'} " in desk.called("aws cloudformation deploy")[0]
    assert len(desk.called("cargo lambda build")) == 1


# ---- The brake ---------------------------------------------------------------------------------------------------------------------


def _pulled(desk):
    return json.loads(desk.state["stack"]["BrakeSecret"])["not_before"]


def the_brake_is_pulled_by_one_command_and_stays_pulled(desk):
    desk.deploys("--parameter", "Memory=512")
    began = int(time.time())

    done = desk.deploys("--brake", types="")

    pulled = _pulled(desk)
    assert began <= pulled <= time.time() and "No later deployment lifts the brake" in done.stdout
    assert not desk.called("aws cloudformation deploy")
    desk.deploys(types="")
    assert _pulled(desk) == pulled
    desk.deploys("--destroy", types="")
    desk.deploys(types="")
    assert _pulled(desk) == pulled


def the_brake_only_grows(desk):
    desk.is_deployed()
    later = int(time.time()) + 3600
    desk.has(stack=desk.state["stack"] | {"BrakeSecret": json.dumps({"not_before": later})})

    done = desk.runs("--brake")

    assert done.returncode != 0 and "Is the clock right?" in done.stderr and _pulled(desk) == later


def there_is_no_brake_without_a_deployment(desk):
    done = desk.runs("--brake", "--stage", "dev")

    assert done.returncode != 0 and "There is no deployment wxauth-dev in eu-central-1" in done.stderr
    assert _changes(desk.calls) == []


def the_brake_says_when_it_could_not_be_pulled(desk):
    desk.is_deployed()
    desk.has(fails="aws secretsmanager put-secret-value")

    done = desk.runs("--brake")

    assert done.returncode != 0 and "Stopped at: Pulling the emergency brake" in done.stderr and _pulled(desk) == 0


# ---- The end, and after it ---------------------------------------------------------------------------------------------------------


def what_stays_after_the_stack_is_named_with_its_cost_and_the_lines_that_delete_it(desk):
    desk.is_deployed()

    done = desk.deploys("--destroy", types="")

    assert desk.state["status"] == "none" and "$0.40 a month for each secret" in done.stdout
    assert "aws dynamodb delete-table --table-name wxauth-Table-1ABC" in done.stdout
    assert done.stdout.count("aws secretsmanager delete-secret --secret-id arn:") == 6
    # Nothing of it is done.
    assert [call.split()[2] for call in _changes(desk.calls)] == ["delete-stack"]


def a_deployment_after_the_end_takes_up_users_keys_and_mini_programs(desk):
    desk.was_removed()

    done = desk.deploys(types="")

    assert "Taking up what an earlier deployment of wxauth left" in done.stdout
    imported = _template(desk.state["imported"])["Resources"]
    assert set(imported) == {"Table", *(name for name in desk.state["stack"] if name.endswith("Secret"))}
    # They are described as the deployment that follows describes them: it changes nothing, and no secret is written over.
    assert imported == {name: support.source()["Resources"][name] for name in imported}
    identifiers = {it["LogicalResourceId"]: it["ResourceIdentifier"] for it in desk.state["imports"]}
    assert identifiers["Table"] == {"TableName": "wxauth-Table-1ABC"}
    assert identifiers["AppsSecret"]["Id"].startswith("arn:aws:secretsmanager:")
    assert json.loads(desk.state["stack"]["AppsSecret"]) == {"apps": {APPID: {"secret": SECRET}}}


@pytest.mark.parametrize("step", ["wait change-set-create-complete", "execute-change-set", "wait stack-import-complete"])
def what_cannot_be_taken_up_is_left_and_not_forgotten_in_silence(desk, step):
    desk.was_removed()
    left = desk.state["left"]
    desk.has(fails=f"aws cloudformation {step}")

    done = desk.runs()

    assert done.returncode != 0 and "infra/deploy --empty" in done.stderr
    assert not desk.called("aws cloudformation deploy")
    desk.has(fails="", status="none", stack={}, left=left)
    desk.deploys("--empty")
    assert desk.state["left"] == left and not desk.called("aws cloudformation create-change-set")


def what_several_deployments_left_is_not_taken_up_by_chance(desk):
    desk.was_removed()
    desk.has(tables="Table\twxauth-Table-1\nTable\twxauth-Table-2")

    done = desk.runs()

    assert done.returncode != 0 and "wxauth-Table-2" in done.stderr and _changes(desk.calls) == []


# ---- The bash of macOS -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", ["deploy", "package"])
def the_scripts_keep_to_bash_3(script):
    text = (support.ROOT / "infra" / script).read_text()

    for newer in (
        r"(declare|local|typeset) -[a-zA-Z]*[Ang]",
        r"\$\{\w+(\[[^]]*\])?(,,?|\^\^?|@[A-Za-z])\}",
        r"mapfile|readarray|coproc",
        r"&>>|\|&|;;?&",
        r"\[\[? -v ",
        r"wait -n|\$EPOCHSECONDS|\$\{\w+: -",
        r"%\([^)]*\)T",
    ):
        assert not re.search(newer, text), newer
    # An empty array is unset there: `"${x[@]}"` ends a script with `set -u`, `${x[@]+"${x[@]}"}` does not.
    for array in ("parameters", "all", "where"):
        assert text.count(f'"${{{array}[@]}}"') == text.count(f'${{{array}[@]+"${{{array}[@]}}"}}'), array
