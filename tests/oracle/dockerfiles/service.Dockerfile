# syntax is the daemon's own
ARG GO=1.25
ARG VARIANT=release

FROM --platform=$BUILDPLATFORM golang:${GO} AS base
WORKDIR /src
ENV CGO_ENABLED=0 \
    GOFLAGS="-trimpath -mod=readonly"

FROM base AS modules
RUN --mount=type=bind,source=go.mod,target=go.mod \
    --mount=type=bind,source=go.sum,target=go.sum \
    --mount=type=cache,target=/go/pkg/mod,sharing=locked \
    go mod download -x

FROM base AS compile
ARG TARGETOS TARGETARCH TARGETVARIANT
ARG VARIANT
RUN --mount=type=bind,target=. \
    --mount=type=cache,target=/go/pkg/mod,id=mod,ro \
    --mount=type=cache,target=/root/.cache/go-build,id=build-${TARGETARCH},sharing=shared,uid=1000,gid=1001,mode=0750 \
    --mount=type=tmpfs,target=/tmp,size=64m \
    GOOS=$TARGETOS GOARCH=$TARGETARCH go build -tags "$VARIANT" -o /out/server ./cmd/server

FROM compile AS check
RUN --mount=type=bind,target=. go vet ./... && touch /checked

FROM scratch AS binary
COPY --from=compile /out/server /server

FROM alpine AS final
LABEL org.opencontainers.image.title="server" team=web
RUN addgroup -S web && adduser -S -G web web
COPY --from=compile --chown=web:web --chmod=0755 /out/server /usr/local/bin/
COPY --from=check /checked /var/lib/
EXPOSE 8080/tcp 9090/udp
VOLUME ["/data"]
USER web
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --start-interval=1s --retries=4 CMD ["server", "-ping"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["server"]
CMD ["-listen", ":8080"]
