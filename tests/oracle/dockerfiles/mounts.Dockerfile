FROM debian AS tools
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=private \
    apt-get update && apt-get install -y make

FROM tools AS prepared
RUN mkdir -p /seed/sub

FROM tools
WORKDIR /w
ARG WHO=ci
RUN --mount=type=secret,id=token --mount=type=secret,id=npmrc,target=/root/.npmrc,mode=0440,uid=5,gid=6,required=true \
    --mount=type=secret,id=key,env=KEY --mount=type=secret,id=both,target=/both,env=BOTH \
    make login
RUN --mount=type=ssh --mount=type=ssh,id=deploy,target=/run/deploy.sock,uid=5,mode=0666,required=true git fetch
RUN --mount=type=bind,from=prepared,source=/seed,target=/seed,rw --mount=type=bind,from=golang:1.25,target=/go \
    --mount=from=prepared,target=/again,readonly \
    make seed
RUN --mount=type=cache,id=${WHO}-cache,from=prepared,source=/seed/sub,target=rel,sharing=private --mount=type=tmpfs,target=/t make
RUN --network=none make offline
RUN --network=host make online
RUN --network=default ["make", "default"]
RUN --security=insecure mount -t tmpfs none /mnt
RUN --security=sandbox true
RUN --device=vendor1.com/device=one,required --device=vendor2.com/device true
