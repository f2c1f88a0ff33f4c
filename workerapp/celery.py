"""The entry for `celery -A workerapp`."""

from __future__ import annotations

from workerapp.app import make_app
from workerapp.settings import load_worker_settings

app = make_app(load_worker_settings())
