FROM alpine AS fetch
ADD https://example.com/tool.tar.gz /tmp/
ADD --checksum=sha256:abababababababababababababababababababababababababababababababab --chmod=0600 --chown=3:4 https://example.com/file?x=1 /pinned
ADD --link --unpack=true https://example.com/data.tgz /data/
ADD https://github.com/example/project.git#main:docs /docs
ADD --keep-git-dir=true https://github.com/example/project.git?branch=v1&submodules=false /project
ADD --link --checksum=0123456789abcdef0123456789abcdef01234567 https://git.example.com/a/b.git?ref=0123456789abcdef0123456789abcdef01234567 /commit
ADD git@github.com:example/private.git#v2 /private
ADD --exclude=*.yaml https://github.com/example/charts.git /charts

FROM scratch
COPY --link --from=fetch /docs /docs
ADD --link https://example.com/last /last
