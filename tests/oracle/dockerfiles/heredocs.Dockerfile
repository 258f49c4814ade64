FROM alpine
SHELL ["/bin/sh", "-eu", "-c"]
RUN <<FIRST cat >/one && <<SECOND cat >/two
line of one
FIRST
line of two
SECOND
RUN <<EOT
#!/usr/bin/env awk -f
BEGIN { print "ü <&> \"quoted\" \\ $HOME" }
EOT
COPY <<plain.txt <<-"raw.txt" /etc/app/
value=$PATH
plain.txt
	tabs go, $PATH stays
	raw.txt
ARG NAME=world
COPY --chmod=644 <<EOT /hello
hello ${NAME}
EOT
ADD <<EOT /added
one
EOT
RUN echo a \
    # a comment in between

    && echo b
