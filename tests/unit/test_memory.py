"""What a process does not load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hajimi_site import memory
from tests.serving import ROOT, environment_for


def test_a_module_seems_not_to_be_installed_meanwhile_and_is_there_again_afterwards() -> None:
    sys.modules.pop("this", None)
    with memory.missing("this"), pytest.raises(ImportError):
        __import__("this")
    assert "this" not in sys.modules


def test_a_module_that_is_loaded_stays() -> None:
    with memory.missing("json"):
        assert __import__("json").loads("1") == 1


def test_a_house_on_sqlite_does_not_load_postgresqls_library(tmp_path: Path) -> None:
    code = "import django, sys; django.setup(); print('psycopg' in sys.modules)"
    environment = environment_for(tmp_path, {}) | {"DJANGO_SETTINGS_MODULE": "hajimi_site.settings"}
    environment.pop("DATABASE_URL", None)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
