# Two images from one file: `train` runs every stage (also as Kubeflow component image), `serve`
# answers for a promoted ONNX artifact and holds no torch. BASE_IMAGE has no default, so what an
# image stands on is always said, best by digest: BASE_IMAGE=python:3.11-slim@sha256:...
ARG BASE_IMAGE

FROM ${BASE_IMAGE} AS base
# A random user has no entry in /etc/passwd, so its name is given; HOME is a mount, /tmp another.
# Everything that libraries write goes to these two, because the root file system is read-only.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/home/unstained \
    USER=unstained \
    LOGNAME=unstained \
    TMPDIR=/tmp \
    XDG_CACHE_HOME=/tmp/cache \
    XDG_CONFIG_HOME=/tmp/config \
    ORT_DISABLE_TELEMETRY=1
RUN groupadd --gid 10001 unstained \
 && useradd --uid 10001 --gid 10001 --home-dir /home/unstained --no-create-home \
    --shell /usr/sbin/nologin unstained \
 && install -d -m 0775 -o 10001 -g 0 /home/unstained

# pip with the locked build tools, and the package's own wheel. Nothing of this stage is shipped.
FROM base AS builder
WORKDIR /build
COPY requirements-build.lock ./
RUN python3 -m venv /opt/build \
 && /opt/build/bin/python -m pip install --no-cache-dir --no-deps --only-binary :all: \
    --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN SOURCE_DATE_EPOCH=0 /opt/build/bin/python -m pip wheel --no-deps --no-index \
    --no-build-isolation --wheel-dir /dist .

# Wheels first, because a few distributions come as source only: those are built with the locked
# tools, never with what an index offers today. Unchecked byte code needs no write and no stat.
FROM builder AS build-train
COPY requirements.lock ./
RUN /opt/build/bin/python -m pip wheel --no-cache-dir --no-deps --no-build-isolation \
    --require-hashes -r requirements.lock --wheel-dir /wheels \
 && python3 -m venv --without-pip /opt/venv \
 && /opt/build/bin/python -m pip --python /opt/venv/bin/python install --no-index --no-deps \
    --no-compile /wheels/*.whl /dist/*.whl \
 && rm -r /wheels
RUN /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
    /opt/venv/lib/python3*/site-packages/unstained \
 && { /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
    /opt/venv/lib >/dev/null || echo "some template files of libraries are no Python"; }
RUN /opt/venv/bin/python -c "from pathlib import Path; from unstained.artifact.sbom import write_sbom; write_sbom(Path('/usr/share/unstained/sbom.json'))"

FROM builder AS build-serve
COPY requirements-serve.lock ./
RUN /opt/build/bin/python -m pip wheel --no-cache-dir --no-deps --no-build-isolation \
    --require-hashes -r requirements-serve.lock --wheel-dir /wheels \
 && python3 -m venv --without-pip /opt/venv \
 && /opt/build/bin/python -m pip --python /opt/venv/bin/python install --no-index --no-deps \
    --no-compile /wheels/*.whl /dist/*.whl \
 && rm -r /wheels
RUN /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib
RUN /opt/venv/bin/python -c "from pathlib import Path; from unstained.artifact.sbom import write_sbom; write_sbom(Path('/usr/share/unstained/sbom.json'))"

FROM base AS train
ARG BASE_IMAGE
ARG GIT_COMMIT=unknown
ARG GIT_REMOTE=
ENV UNSTAINED_GIT_COMMIT=${GIT_COMMIT} \
    UNSTAINED_GIT_REMOTE=${GIT_REMOTE} \
    MPLCONFIGDIR=/tmp/matplotlib \
    DVC_SITE_CACHE_DIR=/tmp/dvc \
    DVC_NO_ANALYTICS=1 \
    GX_ANALYTICS_ENABLED=false \
    MLFLOW_DISABLE_TELEMETRY=true \
    RAY_USAGE_STATS_ENABLED=0 \
    HF_HUB_OFFLINE=1
COPY --from=build-train /opt/venv /opt/venv
COPY --from=build-train /usr/share/unstained /usr/share/unstained
LABEL org.opencontainers.image.title="unstained-train" \
      org.opencontainers.image.description="Every stage of unstained, for Kubeflow, Ray and the command line" \
      org.opencontainers.image.licenses="BSD-3-Clause" \
      org.opencontainers.image.revision="${GIT_COMMIT}" \
      org.opencontainers.image.source="${GIT_REMOTE}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
WORKDIR /home/unstained
USER 10001:10001
ENTRYPOINT ["unstained"]
CMD ["--help"]

FROM base AS serve
ARG BASE_IMAGE
ARG GIT_COMMIT=unknown
ARG GIT_REMOTE=
ENV UNSTAINED_GIT_COMMIT=${GIT_COMMIT}
COPY --from=build-serve /opt/venv /opt/venv
COPY --from=build-serve /usr/share/unstained /usr/share/unstained
LABEL org.opencontainers.image.title="unstained-serve" \
      org.opencontainers.image.description="Answers for a promoted ONNX artifact by the open inference protocol" \
      org.opencontainers.image.licenses="BSD-3-Clause" \
      org.opencontainers.image.revision="${GIT_COMMIT}" \
      org.opencontainers.image.source="${GIT_REMOTE}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
WORKDIR /home/unstained
USER 10001:10001
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python3", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/v2/health/ready', timeout=4)"]
ENTRYPOINT ["unstained"]
CMD ["serve", "--artifact", "/mnt/models", "--host", "0.0.0.0"]
