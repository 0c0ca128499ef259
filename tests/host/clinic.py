"""The host as a clinic's: Python, what an administrator brings along, and two programs that Debian would have."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.host.machine import Machine

PYTHON = "/srv/python"
PACKAGES = "/srv/packages"
_SUDO = """\
#!/bin/sh
# sudo -u USER COMMAND, for a machine that does not have it
[ "$1" = -u ] || exit 2
account=$2
shift 2
exec setpriv --reuid "$account" --regid "$account" --init-groups -- "$@"
"""
_EDITOR = """\
#!{python}
# A person with an editor: what /root/changes.yaml says is put into the settings.
import sys
sys.path.insert(0, "{packages}")
import yaml
def merged(old, new):
    return {{**old, **{{k: merged(old.get(k) or {{}}, v) if isinstance(v, dict) else v for k, v in new.items()}}}}
file, changes = sys.argv[1], yaml.safe_load(open("/root/changes.yaml"))
with open(file, "r+") as settings:
    tree = merged(yaml.safe_load(settings) or {{}}, changes)
    settings.seek(0)
    settings.truncate()
    yaml.safe_dump(tree, settings)
"""


def of_this_python() -> dict[Path, str]:
    """This Python, and its packages without the checkout, where the service's account can read them."""
    return {Path(sys.base_prefix): PYTHON, Path(sysconfig.get_paths()["purelib"]): PACKAGES}


def furnish(machine: Machine, *, python: str = f"{PYTHON}/bin/python3", packages: str = PACKAGES) -> None:
    """`python3`, `sudo` and `editor` on the path."""
    (machine.root / "usr/local/bin/python3").symlink_to(python)
    machine.write("/usr/local/bin/sudo", _SUDO, 0o755)
    machine.write("/usr/local/bin/editor", _EDITOR.format(python=python, packages=packages), 0o755)


def will_change(machine: Machine, changes: Mapping[str, Any]) -> None:
    """What `editor` will put into the settings."""
    machine.write("/root/changes.yaml", yaml.safe_dump(dict(changes)))
