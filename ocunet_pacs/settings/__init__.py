"""Settings: one typed description, from which the sample file, the checks and the documentation all come.

Sources, later ones win: defaults, the YAML file, systemd credentials (a file `database.url` in `$CREDENTIALS_DIRECTORY`
sets `database.url`), environment variables (`OCUNET_PACS__DICOM__PORT=11113` sets `dicom.port`; lists and mappings are
given as YAML, list items by number). Unknown keys are errors, and all errors are reported together, each with its path.
Values are never repeated in an error: a wrong key may hold a password.

    kinds.py       durations, sizes, AE titles: each with its check
    sections.py    the sections from the network to the logs
    intake.py      the sections about what comes in
    tree.py        all of them together
    reading.py     file, credentials, environment
    sample.py      the commented sample file
    changing.py    what a running process takes up of settings that changed
"""

from ocunet_pacs.settings.reading import (
    DEFAULT_PATH,
    ENV_PREFIX,
    PATH_VARIABLE,
    from_environment,
    from_tree,
    is_configured,
    load,
)
from ocunet_pacs.settings.sample import sample
from ocunet_pacs.settings.tree import Settings

__all__ = [
    "DEFAULT_PATH",
    "ENV_PREFIX",
    "PATH_VARIABLE",
    "Settings",
    "from_environment",
    "from_tree",
    "is_configured",
    "load",
    "sample",
]
