"""The verbs that run nothing, through the command itself."""

import json

import pytest
from click.testing import CliRunner

from ombdriver.bench.spec.schema import setup_schema, workload_schema
from ombdriver.cli import cli


@pytest.mark.parametrize(("kind", "schema"), [("workload", workload_schema), ("setup", setup_schema)])
def test_each_kind_of_file_has_its_own_schema(kind, schema):
    """`schema workload` prints that of workload files, `schema setup` that of setup files."""
    shown = CliRunner().invoke(cli, ["schema", kind], standalone_mode=False)

    assert json.loads(shown.output) == schema()
