"""``python -m pilotage``."""

from __future__ import annotations

import sys

from pilotage.cli import main

sys.exit(main())
