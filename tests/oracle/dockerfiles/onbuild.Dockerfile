FROM template
RUN make more
FROM template AS second
USER 10:20
WORKDIR ../up
COPY --from=0 /app/out .
ONBUILD RUN never here
