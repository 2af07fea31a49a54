# The checkout with its locked packages, each checked by its hash; nothing is built.
FROM python:3.12-slim

ENV PYTHONPATH=/opt/runner \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1
WORKDIR /opt/runner

COPY requirements.lock requirements-dev.lock ./
RUN python -m pip install --no-cache-dir --require-hashes --no-deps --only-binary :all: \
    --requirement requirements.lock
# What speaks to PostgreSQL is an extra, and of the locks only that of development has it.
RUN awk '/^[^ #]/ { ours = /^psycopg/ } ours' requirements-dev.lock > postgres.lock \
    && python -m pip install --no-cache-dir --require-hashes --no-deps --only-binary :all: \
    --requirement postgres.lock

COPY pyproject.toml LICENSE ./
COPY migrations ./migrations
COPY jobs ./jobs
COPY runner ./runner
RUN python -m compileall -q runner

# Workspace, store and exports; a volume that is mounted here gets this owner.
RUN useradd --uid 1000 --create-home runner && mkdir /data && chown runner:runner /data
USER runner
WORKDIR /data

ENTRYPOINT ["python", "-m", "runner"]
CMD ["help"]
