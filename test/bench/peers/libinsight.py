"""The LibInsight dataset that both peers collect: the same days and pages as `npm start`, from the URL in the environment."""

import os
from datetime import date, timedelta

BASE_URL = os.environ["LIBINSIGHT_BASE_URL"]
CLIENT_ID = os.environ["LIBINSIGHT_CLIENT_ID"]
CLIENT_SECRET = os.environ["LIBINSIGHT_CLIENT_SECRET"]
PATH = "/custom-dataset/28364/data-grid"
PARAMS = {"sort": "asc", "entered_by": "all", "request_id": "16"}


def windows(first: str, last: str, months: int = 12) -> list[tuple[str, str]]:
    """Splits a date range into windows of some months, both ends inclusive. `first` must be before the 29th."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    found = []
    while start <= end:
        later = start.month - 1 + months
        following = start.replace(year=start.year + later // 12, month=later % 12 + 1)
        found.append((start.isoformat(), min(following - timedelta(days=1), end).isoformat()))
        start = following
    return found
