ARG TAG=latest
FROM golang:${TAG} AS base
ARG A=1
ARG B=${A:-none}
ARG PASSWORD
ENV LIST="$A,$B" DIR=/opt/${TAG:-x}
ENV old style with spaces
WORKDIR ${DIR}
USER ${A}:${B}
RUN echo "$LIST" $$ \$HOME ${UNSET:+never} >"/$DIR/x"
ARG HTTP_PROXY
RUN env
FROM base
ARG SOURCE_DATE_EPOCH
ARG A
RUN test -n "$A"
LABEL a="$A" "multi word"="x y"
WORKDIR sub
COPY ${DIR}* $DIR/
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN false | true
RUN ["/bin/true", "no shell"]
MAINTAINER nobody
