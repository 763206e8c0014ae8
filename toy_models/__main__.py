"""``python -m toy_models``."""

import sys

from toy_models.cli import main

sys.exit(main())
