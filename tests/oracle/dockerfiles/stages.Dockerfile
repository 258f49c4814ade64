FROM scratch AS empty
FROM empty
FROM alpine:3.20 AS one
RUN touch /same
FROM alpine:3.20 AS two
RUN touch /same
FROM one AS three
COPY --from=two /same /two/
RUN --mount=from=one,target=/m1 --mount=from=two,target=/m2 cmp /m1/same /m2/same
FROM three AS four
COPY --from=three --link / /
COPY --from=one --link /same /linked
COPY --from=two --link --chown=1 /same /linked2
RUN ls /
COPY --link . /context
COPY . /context
