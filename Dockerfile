# The gateway's image. It holds the code and nothing of yours: configuration and policies are mounted at
# /etc/watchword, data at /var/lib/watchword, and the root file system may be read-only (docker-compose.yml).

FROM python:3.13-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
RUN python -m venv --without-pip /opt/watchword
COPY requirements/run.lock requirements/compile.lock requirements/
RUN pip --python /opt/watchword/bin/python install --require-hashes --only-binary=:all: --requirement requirements/run.lock \
 && pip install --require-hashes --only-binary=:all: --requirement requirements/run.lock --requirement requirements/compile.lock
COPY pyproject.toml README.md ./
COPY gateway gateway
COPY policies policies
ENV HATCH_BUILD_HOOKS_ENABLE=true
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && pip --python /opt/watchword/bin/python install --no-deps --no-index dist/*.whl

FROM python:3.13-slim-trixie
RUN groupadd --gid 10001 watchword \
 && useradd --uid 10001 --gid watchword --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin watchword \
 && install --directory --owner watchword --group watchword --mode 0700 /var/lib/watchword
COPY --from=build /opt/watchword /opt/watchword
ENV PATH=/opt/watchword/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
ENV WATCHWORD_LISTEN__HOST=0.0.0.0 WATCHWORD_STORE__DATA_DIR=/var/lib/watchword
WORKDIR /etc/watchword
USER 10001:10001
VOLUME /var/lib/watchword
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:8081/healthz', timeout=2)"]
ENTRYPOINT ["watchword"]
CMD ["run"]
