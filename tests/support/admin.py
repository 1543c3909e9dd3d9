"""The admin API of a server under test, by its own command line."""

import json
import subprocess

from .endpoint import Endpoint
from .server import binary, clean_environment


def admin(endpoint: Endpoint, *verb: str):
    """The JSON of `shardlake admin VERB`; its table must work too."""
    environment = clean_environment(
        {"SHARDLAKE_ROOT_ACCESS_KEY": endpoint.access_key, "SHARDLAKE_ROOT_SECRET_KEY": endpoint.secret_key}
    )
    command = [binary(), "admin", *verb, "--endpoint", endpoint.admin]
    table = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert table.returncode == 0 and table.stdout.strip(), table.stderr
    as_json = subprocess.run([*command, "--json"], env=environment, capture_output=True, text=True, timeout=30)
    assert as_json.returncode == 0, as_json.stderr
    return json.loads(as_json.stdout)
