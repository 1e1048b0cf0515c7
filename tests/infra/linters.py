"""cfn-lint, sam validate and checkov have nothing to say."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib

import cfnlint.runner
import pytest
import support
from click.testing import CliRunner
from samcli.cli import main as sam

HERE = pathlib.Path(__file__).parent

# One of each partition, and both regions of China.
CHINA = ["cn-north-1", "cn-northwest-1"]
REGIONS = ["us-east-1", "ap-southeast-1", *CHINA, "us-gov-west-1"]

# The recipes are stacks of their own. Budgets are not in GovCloud, and CloudFront's rules are in one region.
RECIPES = {
    "budget": ["us-east-1", *CHINA],
    "cdn": ["us-east-1"],
    "chat": REGIONS,
    "github": REGIONS,
    "network": REGIONS,
}


# Both tools are called in this process, which reads the types' schemas once.


@pytest.fixture
def cfn_lint(capsys, monkeypatch):
    """Runs it, and gives its exit code and what it says."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["cfn-lint", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cfnlint.runner.main()
        return ended.value.code, capsys.readouterr().out

    return run


def cfn_lint_has_nothing_to_say_in_any_partition(cfn_lint):
    assert cfn_lint(support.SOURCE, "--regions", *REGIONS) == (0, "")


def cfn_lint_says_something_of_a_template_with_a_fault(cfn_lint, tmp_path):
    file = tmp_path / "template.yaml"
    file.write_text("Resources: { Topic: { Type: AWS::SNS::Topic, Properties: { TopicNmae: x } } }\n")

    status, said = cfn_lint(file, "--regions", "us-east-1")

    assert status != 0 and "TopicNmae" in said


def sam_finds_the_template_valid_in_every_environment_of_samconfig(monkeypatch):
    monkeypatch.chdir(support.ROOT / "infra")
    monkeypatch.setenv("SAM_CLI_TELEMETRY", "0")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    config = tomllib.loads(pathlib.Path("samconfig.toml").read_text())
    # What it looks at: the same is looked at once.
    same = {}
    for environment in ("default", "dev", "prod", "cn"):
        sections = (config[environment]["validate"]["parameters"], config[environment]["global"]["parameters"].get("region"))
        same.setdefault(json.dumps(sections), environment)

    for environment in same.values():
        done = CliRunner().invoke(sam.cli, ["validate", "--lint", "--config-env", environment])

        assert done.exit_code == 0 and "is a valid SAM Template" in done.output, done.output
    assert list(same.values()) == ["default", "cn"]


def cfn_lint_has_nothing_to_say_of_a_recipe_in_the_regions_it_is_for(cfn_lint):
    # One run for all recipes of the same regions.
    for regions in {tuple(regions) for regions in RECIPES.values()}:
        recipes = [support.recipe(name) for name in RECIPES if tuple(RECIPES[name]) == regions]

        assert cfn_lint("--regions", *regions, "--", *recipes) == (0, "")


def every_recipe_is_linted_and_explained():
    recipes = {file.stem for file in (support.ROOT / "infra" / "recipes").glob("*.yaml")}
    told = (support.ROOT / "infra" / "recipes" / "README.md").read_text()

    assert recipes == set(RECIPES)
    assert all(f"{name}.yaml" in told for name in recipes)


def checkov_has_nothing_to_say():
    checkov = os.environ.get("CHECKOV", "checkov")
    files = [part for file in (support.SOURCE, *map(support.recipe, RECIPES)) for part in ("--file", file)]
    command = [checkov, "--config-file", HERE / ".checkov.yaml", *files, "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    report = json.loads(done.stdout)

    assert report["results"]["failed_checks"] == [] and done.returncode == 0
    # It did look.
    assert report["summary"]["passed"] > 80 and report["summary"]["parsing_errors"] == 0
    # What a recipe is better without, it says itself, with the reason.
    skipped = {it["check_id"]: it["check_result"]["suppress_comment"] for it in report["results"]["skipped_checks"]}
    assert set(skipped) == {"CKV_AWS_86", "CKV_AWS_115", "CKV_AWS_192"} and all(skipped.values())


def checkov_skips_five_checks_at_most_each_with_a_reason():
    lines = (HERE / ".checkov.yaml").read_text().splitlines()

    skips = [number for number, line in enumerate(lines) if re.fullmatch(r"  - CKV\w+", line)]

    assert 0 < len(skips) <= 5
    assert all(lines[number - 1].startswith("  # ") for number in skips)
