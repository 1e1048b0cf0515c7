"""cfn-lint, sam validate and checkov have nothing to say."""

import json
import os
import pathlib
import re
import subprocess
import sys

import support

HERE = pathlib.Path(__file__).parent
TOOLS = pathlib.Path(sys.executable).parent

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


def _run(tool, *arguments, cwd=support.ROOT):
    quiet = {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1"}
    return subprocess.run(
        [tool, *arguments], cwd=cwd, env=os.environ | quiet, capture_output=True, text=True, timeout=300, check=False
    )


def cfn_lint_has_nothing_to_say_in_any_partition():
    done = _run(TOOLS / "cfn-lint", support.SOURCE, "--regions", *REGIONS)

    assert (done.returncode, done.stdout) == (0, "")


def sam_finds_the_template_valid_in_every_environment_of_samconfig():
    for environment in ("default", "dev", "prod", "cn"):
        done = _run(TOOLS / "sam", "validate", "--lint", "--config-env", environment, cwd=support.ROOT / "infra")

        assert done.returncode == 0 and "is a valid SAM Template" in done.stdout, done.stdout + done.stderr


def cfn_lint_has_nothing_to_say_of_a_recipe_in_the_regions_it_is_for():
    # One run for all recipes of the same regions.
    for regions in {tuple(regions) for regions in RECIPES.values()}:
        recipes = [support.recipe(name) for name in RECIPES if tuple(RECIPES[name]) == regions]
        done = _run(TOOLS / "cfn-lint", "--regions", *regions, "--", *recipes)

        assert (done.returncode, done.stdout) == (0, "")


def every_recipe_is_linted_and_explained():
    recipes = {file.stem for file in (support.ROOT / "infra" / "recipes").glob("*.yaml")}
    told = (support.ROOT / "infra" / "recipes" / "README.md").read_text()

    assert recipes == set(RECIPES)
    assert all(f"{name}.yaml" in told for name in recipes)


def checkov_has_nothing_to_say():
    checkov = os.environ.get("CHECKOV", "checkov")
    files = [part for file in (support.SOURCE, *map(support.recipe, RECIPES)) for part in ("--file", file)]
    done = _run(checkov, "--config-file", HERE / ".checkov.yaml", *files, "--output", "json")

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
