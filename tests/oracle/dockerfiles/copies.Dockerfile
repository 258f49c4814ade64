FROM busybox AS files
WORKDIR /a/b
COPY . .
COPY --parents ./x/./y/*.txt z/**/deep /parents/
COPY --exclude=*.md --exclude=docs/** --chown=1000:1000 . /filtered/
COPY ["with space", "other file", "/d i r/"]
ADD --chown=app:app --chmod=u+rwX,go-w archive.tar.gz /unpacked/
ADD --unpack=false archive.tar /kept/
COPY --link --chown=7:8 --chmod=0711 bin/ /usr/bin/
COPY --link lib /lib

FROM busybox
COPY --link --from=files /a /a
COPY --link --from=files --exclude=*.o --parents /filtered/./sub /
COPY --from=golang:1.25 /usr/local/go/LICENSE /licenses/go
COPY --from=files --chown=nobody /parents/ ./relative
COPY --from=0 [ "/unpacked", "/kept", "/both/" ]
WORKDIR relative/deeper
COPY --from=files /a/b/c .
