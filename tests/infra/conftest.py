"""What is made once for all tests."""

import functools
import os
import subprocess

import pytest
import support
from samcli import yamlhelper

CANARY = support.ROOT / "infra" / "recipes" / "canary"


def run_canary(file, how, **environment):
    return subprocess.run(
        [CANARY, how, file], env=os.environ | environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="session")
def canary_of(tmp_path_factory):
    """The file that the recipe makes of the template as `sam build` writes it."""
    as_built = yamlhelper.yaml_dump(yamlhelper.yaml_parse(support.SOURCE.read_text()))

    @functools.cache
    def made(how, path=os.environ["PATH"]):
        file = tmp_path_factory.mktemp("canary") / "template.yaml"
        file.write_text(as_built)
        done = run_canary(file, how, PATH=path)
        assert done.returncode == 0, done.stderr
        return file

    return made
