# hajimi in one container. Build: docker build -t hajimi .   Run: docker run -p 7860:7860 -v hajimi:/hajimi/data hajimi
FROM python:3.13-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

# Hugging Face runs every container as user 1000; a volume mounted at data takes over this owner.
RUN useradd --create-home --uid 1000 hajimi && install -d -o hajimi -g hajimi /hajimi/data
WORKDIR /hajimi

# The libraries change seldom, so they come first and stay in the cache.
COPY requirements.txt ./
# Languages that hajimi does not speak and the libraries' own tests are a third of them: out they go.
RUN pip install --require-hashes -r requirements.txt && \
    find "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" -type f \
        \( -path '*/locale/*/LC_MESSAGES/*' -not -path '*/en/*' -not -path '*/zh_Hans/*' \
        -o -path '*/twisted/*test/*' -o -path '*/autobahn/*/test/*' -o -path '*/zope/interface/*tests/*' \) -delete

COPY . .
# Compiled once, because nothing may be written later where the root is read-only.
RUN python -m compileall -q hajimi_site keys proxy manage.py

USER 1000
ENV HOST=0.0.0.0 \
    PORT=7860 \
    DATA_DIR=/hajimi/data
EXPOSE 7860

# http.client, because a proxy named in the environment is for the way to Google, not for this.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 7860), timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]

CMD ["python", "manage.py", "serve"]
