# One image for every role; compose.yaml says which one a container plays.
# BASE: any image with Python 3.11 as `python3` and its venv module. Pin it by digest for production (docs/deployment.md).
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /app
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.lock .
# Wheels only, each with its hash: nothing is built here and nothing unpinned gets in.
RUN python3 -m venv /opt/hefl \
    && /opt/hefl/bin/pip install --require-hashes --only-binary :all: -r requirements.lock
COPY . .
# The containers' file systems are read-only: byte code is made now or never.
RUN /opt/hefl/bin/python -m compileall -q app.py hefl_core pages lessons

FROM ${BASE}
# The link: KubeRay's init container asks for `ray` from a login shell, which sets a PATH of its own.
RUN groupadd --gid 10001 hefl \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin hefl \
    && install -d -o hefl -g hefl -m 0700 /var/lib/hefl \
    && ln -s /opt/hefl/bin/ray /usr/local/bin/ray
COPY --from=build /opt/hefl /opt/hefl
COPY --from=build /app /app
WORKDIR /app
# HOME: Ray and Streamlit want to write there, and /tmp is what stays writable.
ENV PATH=/opt/hefl/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    HEFL_HOME=/var/lib/hefl \
    HEFL_METRICS=127.0.0.1:9464
USER 10001:10001
# Every role answers /ready where HEFL_METRICS says; the probe asks there.
HEALTHCHECK --interval=10s --timeout=5s --start-period=180s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['HEFL_METRICS'].rsplit(':')[-1] + '/ready', timeout=4)"]
ENTRYPOINT ["python", "-m", "hefl_core"]
CMD ["--help"]
