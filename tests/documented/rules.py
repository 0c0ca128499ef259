"""Where what is run differs from what stands on a page: every such place, with the reason.

A rule that no command of any page needs, and a test that is not there, fail tests/documented/test_pages.py.
"""

from __future__ import annotations

from tests.documented.shell import Rule
from tests.host.clinic import PACKAGES

PIP = "/opt/ocunet-pacs/bin/pip"
_WHEEL = r"'\./ocunet_pacs-1\.0\.0-py3-none-any\.whl\[postgres\]'"
_TRAINING = "it takes minutes, or photographs that do not ship"

_HERE = (
    Rule(r"apt-get .*", "the test's machine has these packages, and its host no network"),
    Rule(r"journalctl (.*) -f", "it goes on for ever", r"journalctl \1 -n 20 --no-pager"),
    Rule(r"echoscu .*", "from another machine", outside=True),
)
ONLINE = (
    Rule(
        rf"({PIP} install --constraint constraints\.txt torch) --index-url \S+",
        "that index cannot be reached from everywhere",
        r"\1",
    ),
    Rule(
        rf"({PIP} install --constraint constraints\.txt) {_WHEEL}",
        "the release's number",
        r'\1 "$(echo /root/ocunet_pacs-*.whl)[postgres]"',
    ),
    *_HERE,
)
"""An installation that fetches its packages."""

_SEE_PACKAGES = f"echo {PACKAGES} >$(echo /opt/ocunet-pacs/lib/python3*/site-packages)/packages.pth"
_INSTALL_WHEEL = f"{PIP} install --quiet --no-index --no-deps --force-reinstall /root/ocunet_pacs-*.whl"
OFFLINE = (
    Rule(
        rf"{PIP} install --constraint constraints\.txt torch( --index-url \S+)?",
        "the packages of the tests are there already",
        _SEE_PACKAGES,
    ),
    Rule(
        rf"{PIP} install --constraint constraints\.txt ({_WHEEL}|'\.\[postgres\]')",
        "the release's number, and no network",
        _INSTALL_WHEEL,
    ),
    *_HERE,
)
"""An installation from the wheel, beside the packages of the tests."""

_AFTERWARDS = (
    # Installing
    Rule(
        r"python3 -m venv /opt/ocunet-pacs", "docs/install.md's link stands there", "test -x /opt/ocunet-pacs/bin/pip"
    ),
    Rule(
        r"python3 -m venv /opt/ocunet-pacs-2",
        '"and pip install as above, into this one"',
        rf"\g<0> && {_SEE_PACKAGES} && {_INSTALL_WHEEL}".replace("/ocunet-pacs/", "/ocunet-pacs-2/"),
    ),
    Rule(
        r"ocunet-pacs model (research|import .* --overwrite).*",
        "a release may ship none",
        test="tests/unit/model/test_research.py::test_a_copy_is_served_and_a_checkpoint_takes_its_place_by_one_command",
    ),
    Rule(
        r"ocunet-pacs model import .*|ln -s ocunet-v4 .*",
        "the bundle stands there",
        test="tests/documented/test_pages.py::test_docs_install_leads_from_an_empty_host_to_results",
    ),
    Rule(r"(ocunet-pacs config init) /etc/\S+", "`install` has written that file", r"\1 /srv/work/another.yaml"),
    Rule(
        r"ocunet-pacs serve",
        "it runs until it is stopped, and the service runs",
        test="tests/acceptance/test_serve.py::test_a_role_that_dies_is_started_again_and_the_work_goes_on",
    ),
    Rule(r"make demo", "it is about another machine", test="tests/acceptance/test_demo.py::test_make_demo"),
    Rule(r"make test", "it is what runs here"),
    Rule(r"make soak .*", "it takes half an hour"),
    Rule(
        r"ocunet-pacs drift accept 3f0c",
        "it takes a camera that has been watched for days",
        test="tests/unit/app/test_drift.py::test_what_has_changed_is_shown_and_accepted",
    ),
    # Names and numbers of the examples
    Rule(r"ocunet-pacs jobs (show|retry) 17", "another number", r"ocunet-pacs jobs \1 $(cat dead)"),
    Rule(r"(ocunet-pacs reprocess --bundle) 3c505aa6", "another bundle", r"\1 $(cat digest)"),
    Rule(r"ocunet-pacs echo archive", "another name", "ocunet-pacs echo pacs"),
    Rule(r"ssh .*", "from the administrator's desk"),
    Rule(r"(journalctl .* \| grep) 3f9c0a1d77e2", "another study", r"""\1 '"study": "'"""),
    Rule(r"pg_dump .*", "PostgreSQL's own program"),
    Rule(
        r"curl -X POST .* https://record\.example/fhir",
        "another server",
        test="tests/integration/test_fhir_endpoint.py::test_a_fhir_server_takes_every_kind_of_report",
    ),
    Rule(
        r"systemctl enable ocunet-pacs-stow .*",
        '"only what the settings turn on"',
        test="tests/acceptance/test_units_run.py::test_the_roles_do_their_work_with_what_their_units_leave_them",
    ),
    Rule(r"(systemctl enable ocunet-pacs-worker@0) ocunet-pacs-worker@1", '"one a GPU; without GPU @0"', r"\1"),
    Rule(
        r"ocunet-pacs shadow report.*",
        "it needs a candidate",
        test="tests/acceptance/test_shadow.py::test_what_is_delivered_is_the_same_with_a_candidate_in_the_shadow",
    ),
    # Releases
    Rule(
        r"sha256sum --check .*|diff dist/.*|make release",
        "it needs a checkout",
        test="tests/integration/test_release_build.py::test_two_builds_of_a_commit_are_the_same_bytes",
    ),
    Rule(r"git clone .*", "the address is an example"),
    Rule(
        r"(\S*pip (install|download) .*--requirement requirements\.txt.*)|\S*pip install --no-deps --no-index \S+\.whl",
        "it needs an index",
        test="tests/integration/test_release_description.py::test_pip_takes_what_the_list_names_and_nothing_else",
    ),
    Rule(rf"{PIP} check", "the packages of the tests lie in another folder, beside what came with the environment"),
    Rule(
        r"make audit",
        "it needs the network",
        test="tests/unit/test_audit_of_packages.py::test_a_service_that_cannot_be_reached_is_named",
    ),
    # Training
    Rule(
        r"ocunet-train manifest .*",
        _TRAINING,
        test="tests/integration/training/test_manifest_command.py::test_every_kind_at_once",
    ),
    Rule(
        r"(timeout \d+ )?ocunet-train run config/training/research-bundle\.yaml .*",
        _TRAINING,
        test="tests/integration/training/test_research_recipe.py::test_the_recipe_gives_a_bundle_its_page_and_its_card_though_it_was_killed",
    ),
    Rule(
        r"ocunet-train run .*|ocunet-pacs predict photograph\.jpg --bundle run/bundle",
        _TRAINING,
        test="tests/acceptance/test_training.py::test_folders_become_a_bundle_that_knows_what_was_planted",
    ),
    Rule(
        r"ocunet-train promote .*",
        _TRAINING,
        test="tests/integration/training/evaluation/test_promote.py::test_a_site_promotes_its_first_bundle_then_a_better_one_and_goes_back",
    ),
    Rule(
        r"ocunet-train evaluate .*",
        _TRAINING,
        test="tests/integration/training/evaluation/test_evaluate.py::test_the_command_writes_and_tells",
    ),
    Rule(
        r"ocunet-train (split|check) .*",
        _TRAINING,
        test="tests/integration/training/test_leakage.py::test_a_flipped_re_encoded_copy_of_a_training_photograph_in_the_test_split_is_caught",
    ),
    Rule(
        r"ocunet-train tried .*",
        _TRAINING,
        test="tests/integration/training/test_step_by_step.py::test_what_was_tried_becomes_a_table_that_outlives_the_runs",
    ),
    Rule(r"tar .* \| split .*|cat carried\..*", "photographs that do not ship"),
    Rule(
        r"(timeout \d+ )?ocunet-train train .*",
        _TRAINING,
        test="tests/integration/training/test_train_command.py::test_a_signal_ends_a_run_with_a_status_of_its_own_and_it_goes_on",
    ),
    Rule(
        r"torchrun .*",
        _TRAINING,
        test="tests/integration/training/test_torchrun.py::test_the_loss_curves_are_the_same",
    ),
    Rule(
        r"ocunet-train (export|card|compare) .*",
        _TRAINING,
        test="tests/integration/training/test_step_by_step.py::test_from_a_run_to_a_bundle_with_its_page_its_card_and_a_comparison",
    ),
    Rule(
        r"ocunet-train recipe .*",
        _TRAINING,
        test="tests/integration/training/test_step_by_step.py::test_the_recipe_that_is_printed_is_read_again",
    ),
    Rule(
        r"ocunet-train harvest .*",
        _TRAINING,
        test="tests/integration/training/test_step_by_step.py::test_a_store_and_a_doctors_verdicts_make_a_corpus",
    ),
    Rule(r"tensorboard .*", "another program"),
    Rule(r"pip install 'ocunet-pacs\[train\]'", "it needs an index"),
)
ON_PAGES = (*_AFTERWARDS, *OFFLINE)
"""The pages that are typed on a host on which docs/install.md was followed."""
