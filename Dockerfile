# The service. It runs as nobody in particular, on a read-only root with a writable /tmp, and holds no build tools.
#
#   docker build --tag holdfast .
#
# For a release name the base by its digest: --build-arg PYTHON=python:3.13-slim-bookworm@sha256:...
# Your own workflows: FROM this image, COPY your modules to /srv, and name them in HOLDFAST_WORKFLOWS.
ARG PYTHON=python:3.13-slim-bookworm

FROM ${PYTHON} AS build
WORKDIR /build
COPY requirements/service.txt requirements/
RUN python -m venv --without-pip /opt/holdfast \
    && python -m pip --python /opt/holdfast/bin/python install --no-cache-dir --require-hashes \
        --requirement requirements/service.txt
COPY pyproject.toml README.md LICENSE ./
COPY holdfast holdfast
COPY app app
# The build backend is locked with the rest, and leaves when its work is done.
RUN python -m pip --python /opt/holdfast/bin/python install --no-cache-dir --no-deps --no-build-isolation --no-index . \
    && python -m pip --python /opt/holdfast/bin/python uninstall --yes \
        editables hatchling packaging pathspec pluggy tomlkit trove-classifiers

FROM ${PYTHON} AS service
LABEL org.opencontainers.image.title="holdfast" \
    org.opencontainers.image.licenses="Apache-2.0"
RUN python -m pip uninstall --yes pip
COPY --from=build /opt/holdfast /opt/holdfast
COPY examples /srv/examples
WORKDIR /srv
ENV PATH=/opt/holdfast/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOLDFAST_ADDRESS=0.0.0.0:8000 \
    HOLDFAST_STORE=dapr:statestore \
    HOLDFAST_PUBLISHER=dapr:pubsub
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# The port stays closed while the service waits for its sidecar, or for its predecessor to let go of the store.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10m --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
ENTRYPOINT ["holdfast"]
CMD ["serve"]
