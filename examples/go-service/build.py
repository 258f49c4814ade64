"""A web service in Go: compiled with both of Go's caches, packed as an image of one file.

pyllb solve build.py:default --output type=local,dest=out
pyllb solve build.py:default --version 1.2 --output type=image,name=localhost:5000/app:1.2,push=true
"""

from pyllb import FS, bind, cache, fs, local, target


def binary(version: str, verbose: bool) -> FS:
    """A filesystem with just the program, /app."""
    source = local(".", include=["go.mod", "go.sum", "**/*.go"])
    command = ["go", "build", "-trimpath", "-ldflags", f"-X main.version={version}", "-o", "/out/app"]
    return (
        fs()
        .image("golang")
        .dir("/src")
        .env(CGO_ENABLED="0")
        .run(
            [*command, *(["-x"] if verbose else []), "."],
            mounts=[bind(source, "/src", readonly=True), bind(fs(), "/out"), cache("go-build"), cache("go-mod")],
        )
        .mount("/out")
    )


@target
def default(version: str = "dev", verbose: bool = False) -> FS:
    """The service's image: one static program on nothing.

    version: what the program says of itself. verbose: print every command that go runs.
    """
    return fs().copy(binary(version, verbose), "/app", "/app").entrypoint("/app").expose(8080)
