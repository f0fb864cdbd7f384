# syntax=docker/dockerfile:1
# One image for every role; the command picks the role: `api`, `routing`, `sender`, `migrate`, `sandbox`.
# docs/operations/containers.md says how to run it; `make test-container` goes through these steps
# and runs what comes out of them.

# A tag rather than a digest, so that each build has Debian's and Python's security fixes; a release
# is pinned with --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PROJECT_ENVIRONMENT=/opt/gateway \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /build
COPY scripts/uv.txt scripts/uv.txt
RUN pip install --no-cache-dir --require-hashes --requirement scripts/uv.txt
# Dependencies first, by the lock and its hashes: they change less often than the code.
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-default-groups --no-install-project
COPY README.md LICENSE ./
COPY src src
COPY migrations migrations
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-default-groups --no-editable

FROM ${PYTHON_IMAGE}
# What installs packages has no business here, and the standard library comes without bytecode,
# which nobody could write later under a read-only root.
RUN python -m pip uninstall --quiet --yes --root-user-action=ignore pip setuptools wheel \
    && python -m compileall -q -x '/(tests?|site-packages|dist-packages)/' \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && install --directory --owner=65534 --group=65534 /data
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    OPS_HOST=0.0.0.0 \
    SANDBOX_HOST=0.0.0.0 \
    DATA_DIR=/data
# Nothing is written but to /data (local media; none with MEDIA_URL) and /tmp.
VOLUME /data
USER 65534:65534
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-m", "gateway.probe"]
ENTRYPOINT ["gateway"]
CMD ["api"]
# Last, as they change with every build.
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="channel-gateway" \
      org.opencontainers.image.description="Verified webhooks in, ordered events on Kafka, replies that leave once" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
