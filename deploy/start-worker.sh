#!/usr/bin/env bash
# Starts a worker with the settings of the environment; .env.example lists them. Arguments are `celery worker`'s.
set -euo pipefail

read -ra options <<<"${CELERY_WORKER_OPTS:-}"

# exec: signals reach the worker itself, so that it stops in good order.
exec celery -A workerapp worker \
  --loglevel="${CELERY_WORKER_LOGLEVEL:-INFO}" \
  --concurrency="${CELERY_WORKER_CONCURRENCY:-8}" \
  --prefetch-multiplier="${CELERY_WORKER_PREFETCH_MULTIPLIER:-4}" \
  --max-tasks-per-child="${CELERY_WORKER_MAX_TASKS_PER_CHILD:-1000}" \
  "${options[@]+"${options[@]}"}" "$@"
