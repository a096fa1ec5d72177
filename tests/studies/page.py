"""The figures of a study beside its page, and the machine that they are of."""

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ombdriver.bench.telemetry import installation

STUDIES = Path(__file__).parents[2] / "docs" / "studies"


def load(data: Path) -> dict[str, Any]:
    """The figures of a study; empty where there are none yet."""
    found: dict[str, Any] = json.loads(data.read_text(encoding="utf-8")) if data.exists() else {}
    return found


def save(data: Path, figures: Mapping[str, Any]) -> None:
    """Writes them as a person reads them, and as a difference shows them."""
    data.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def machine(server: str) -> str:
    """On what and when something was measured, in a sentence."""
    cores = installation.usable_cores()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"Measured on {datetime.now(UTC):%Y-%m-%d} with {server} and {python} on {cores} cores."
