"""The settings of the drift watch: a time of day that YAML does not spoil, and nothing that could never be compared."""

from __future__ import annotations

import pytest
import yaml

from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.settings import from_tree


@pytest.mark.parametrize("written", ["02:30", "'02:30'", "12:30", "00:00", "23:59"])
def test_a_time_of_day_is_what_was_written(written: str) -> None:
    """YAML makes a number of base 60 of 12:30."""
    assert from_tree(yaml.safe_load(f"drift: {{at: {written}}}")).drift.at == written.strip("'")


@pytest.mark.parametrize("written", ["24:00", "2:30 am", "02:60", "-1", "true", "null", "1440"])
def test_what_is_no_time_of_day_is_refused(written: str) -> None:
    with pytest.raises(ConfigError, match="a time of day such as 02:30"):
        from_tree(yaml.safe_load(f"drift: {{at: '{written}'}}" if ":" in written else f"drift: {{at: {written}}}"))


def test_what_is_kept_reaches_as_far_as_what_is_compared() -> None:
    with pytest.raises(ConfigError, match="keep must be as long as window and reference_days"):
        from_tree({"drift": {"keep": "5d"}})
    assert from_tree({"drift": {"keep": "7d"}}).drift.reference_days == 7
