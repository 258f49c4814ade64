ARG BASE=alpine
FROM --platform=$BUILDPLATFORM ${BASE} AS native
ARG BUILDOS BUILDARCH TARGETPLATFORM TARGETVARIANT
RUN echo "$BUILDOS/$BUILDARCH for $TARGETPLATFORM $TARGETVARIANT" >/for
FROM --platform=linux/s390x ${BASE} AS mainframe
RUN uname -m >/machine
FROM --platform=linux/arm/v6 ${BASE} AS small
COPY --from=mainframe --link /machine /of/mainframe
RUN uname -m >/machine
FROM ${BASE}
RUN uname -m >/machine
COPY --from=native /for /from/native
COPY --from=small / /from/small/
