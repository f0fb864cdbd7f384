# syntax=docker/dockerfile:1
# One image for every role; the command picks the role: `api`, `routing`, `sender`, `migrate`, …

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
WORKDIR /build
COPY scripts/uv.txt scripts/uv.txt
RUN pip install --no-cache-dir --require-hashes --requirement scripts/uv.txt
# Dependencies first, by the lock and its hashes: they change less often than the code.
COPY pyproject.toml uv.lock ./
RUN UV_PROJECT_ENVIRONMENT=/opt/gateway uv sync --frozen --no-default-groups --no-install-project
COPY README.md LICENSE ./
COPY src src
COPY migrations migrations
RUN UV_PROJECT_ENVIRONMENT=/opt/gateway uv sync --frozen --no-default-groups --no-editable

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="channel-gateway" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    OPS_HOST=0.0.0.0 \
    DATA_DIR=/data
# Nothing is written but to /data (local media; none with MEDIA_URL), so the root may be read-only.
RUN install --directory --owner=10001 --group=10001 /data
USER 10001:10001
VOLUME /data
EXPOSE 8080 9090
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('OPS_PORT', '9090')}/livez\", timeout=2)"]
ENTRYPOINT ["gateway"]
CMD ["api"]
