FROM scratch
COPY x /
