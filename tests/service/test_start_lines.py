"""LOG_FORMAT=json: what hajimi prints is one document a line from its first word to its last."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.serving import ROOT, environment_for


def serving(folder: Path, **changes: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "serve"],
        cwd=ROOT,
        env=environment_for(folder, {"LOG_FORMAT": "json", **changes}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_ready_line_and_a_made_password_are_documents_too(tmp_path: Path) -> None:
    messages: list[str] = []
    with serving(tmp_path, ADMIN_PASSWORD="") as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                messages.append(json.loads(line)["message"])
                if "listening on http://127.0.0.1:" in messages[-1]:
                    process.terminate()
        finally:
            process.kill()

    made = next(message for message in messages if message.startswith("Admin account admin, password "))
    assert len(made.split()[4]) > 8
    assert any("listening on http://127.0.0.1:" in message for message in messages)


def test_why_it_cannot_start_is_a_document(tmp_path: Path) -> None:
    for changes in ({"PORT": "x"}, {"WORKERS": 2}):
        with serving(tmp_path, **changes) as process:
            printed, _ = process.communicate(timeout=60)

        document: dict[str, Any] = json.loads(printed)
        assert document["message"].startswith(f"hajimi cannot start: {next(iter(changes))} is set to ")
        assert document["level"] == "ERROR"
        assert process.returncode == 1
