"""What Django's debug page (DEBUG=true) leaves out."""

from __future__ import annotations

import re
from typing import Final

from django.views.debug import SafeExceptionReporterFilter

# Besides Django's: settings of ours that hold a secret under a name that does not say so.
_OURS: Final = "GIVEN_ENVIRONMENT|CREDENTIALS|DATABASE|REDIS|CHANNEL_LAYERS|CACHES"


class Filter(SafeExceptionReporterFilter):
    """Hides every setting with a secret in it."""

    hidden_settings = re.compile(f"{SafeExceptionReporterFilter.hidden_settings.pattern}|{_OURS}", re.IGNORECASE)
