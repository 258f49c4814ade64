"""Lowering: a node becomes a definition. A generator that asks for image configs and is told them; it does no I/O."""

from __future__ import annotations

import posixpath
from collections.abc import Generator, Iterable, Mapping, Sequence
from hashlib import sha256

import attrs

from pyllb.errors import GraphError, PyllbError
from pyllb.ir.constraints import NO_CONSTRAINTS, Constraints
from pyllb.ir.files import Copy
from pyllb.ir.graph import local_name, postorder, results_read
from pyllb.ir.image import EMPTY_SPEC, ImageConfig, ResolvedImage
from pyllb.ir.meta import Meta
from pyllb.ir.ops import ExecOp, FileOp, LocalDir, Node, Output, SourceOp, Vertex
from pyllb.ir.platform import Platform
from pyllb.ir.site import NOWHERE, Site
from pyllb.marshal import caps
from pyllb.marshal.definition import Definition
from pyllb.marshal.evaluate import Evaluator
from pyllb.marshal.image import image_config
from pyllb.marshal.inputs import encode_input
from pyllb.marshal.metadata import MetadataTable
from pyllb.marshal.ops import OpEncoder
from pyllb.marshal.sourcemap import ReadText, SourceMap, no_text, source_lines
from pyllb.value import Value


@attrs.frozen(eq=False, repr=False)
class ResolveImage(Value):
    """A request for an image's config. ref: normalised. mode: default, pull or local.

    layout: the name of the client's OCI layout that has the image, whose ref is as it was written; None for a registry.
    """

    ref: str
    platform: Platform
    mode: str
    layout: str | None = None


@attrs.frozen(eq=False, repr=False, kw_only=True)
class LocalUse(Value):
    """A local source of the graph, and the client's directory behind it; None when only its name is known."""

    name: str
    dir: LocalDir | None
    site: Site


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Lowered(Value):
    """What one marshal call gives.

    locals: one per name. image: the image config as JSON for exporters; None when the definition is empty and nothing
    was said of the image. annotations: exporters' attributes.
    """

    definition: Definition
    locals: tuple[LocalUse, ...]
    image: bytes | None
    annotations: tuple[tuple[str, str], ...]


Answers = Mapping[ResolveImage, ResolvedImage | PyllbError]
Lowering = Generator[frozenset[ResolveImage], Answers, Lowered]


def lower(
    node: Node,
    *,
    platform: Platform,
    local_unique_id: str,
    resolve: bool = True,
    read_text: ReadText = no_text,
    constraints: Constraints = NO_CONSTRAINTS,
    sets_default_path: bool | None = None,
) -> Lowering:
    """Marshal a node, asking for all its image configs at once; each answer is a config or the error to raise.

    platform: of what names none, normalised. local_unique_id: keeps two solves from sharing an upload. resolve=False
    asks for nothing and applies no image config, as Go's client without a resolver. read_text: the text of a user's
    file for the source map; None leaves that frame out. constraints: of every vertex that is made here, its own laid
    over them; their platform is not asked. sets_default_path: whether the daemon sets PATH for commands that have none,
    else they are given one; None does not ask, as Go's client without WithCaps.

    Raises GraphError with the user's lines as its sources, and the errors among the answers with those of the image.
    Mirrors client/llb State.Marshal (BuildKit 0.33.1).
    """
    vertices = postorder(node.output) if node.output is not None else []
    configs: dict[SourceOp, ImageConfig] = {}
    pins: dict[int, str] = {}
    if resolve:
        requests = {image: _request(image, platform) for image in _images(node, vertices)}
        answers = (yield frozenset(requests.values())) if requests else {}
        found = {image: _resolved(image, answers.get(request), read_text) for image, request in requests.items()}
        configs = {image: config for image, (config, _) in found.items()}
        pins = {id(image): pin for image, (_, pin) in found.items() if pin}
    evaluator = Evaluator(configs)
    emitter = _Emitter(
        OpEncoder(platform, local_unique_id, evaluator, {}, pins, constraints, sets_default_path), SourceMap(read_text)
    )
    definition = emitter.definition(vertices, node.output)
    says = bool(vertices) or node.spec != EMPTY_SPEC
    image = node.meta.settings.image
    config = configs.get(image) if image is not None else None
    return Lowered(
        definition=definition,
        locals=_locals(vertices, read_text),
        image=image_config(node, config, evaluator.of(node.meta), platform) if says else None,
        annotations=node.spec.annotations,
    )


def _images(node: Node, vertices: Iterable[Vertex]) -> dict[SourceOp, None]:
    """The images whose config somebody reads, or whose digest is wanted, in the order of the graph."""
    images: dict[SourceOp, None] = {}
    for vertex in vertices:
        if isinstance(vertex, ExecOp):
            metas: Iterable[Meta] = (vertex.meta,)
        elif isinstance(vertex, FileOp):
            metas = _chain_metas(vertex)
        elif isinstance(vertex, SourceOp) and vertex.image is not None and vertex.image.pin:
            images[vertex] = None
            continue
        else:
            continue
        found = (meta.settings.image for meta in metas)
        images.update((image, None) for image in found if image is not None)
    if node.meta.settings.image is not None:
        images[node.meta.settings.image] = None
    return images


def _chain_metas(op: FileOp) -> list[Meta]:
    stack, seen = [op.chain], {id(op.chain): op.chain}
    while stack:
        sources = [action.source for action in stack.pop().actions if isinstance(action, Copy)]
        new = {id(source): source for source in sources if id(source) not in seen}
        seen |= new
        stack += new.values()
    return [chain.meta for chain in seen.values()]


def _request(image: SourceOp, platform: Platform) -> ResolveImage:
    if image.image is None:
        raise GraphError(f"source {image.identifier!r} has no image config")
    asked = image.image
    return ResolveImage(asked.ref, image.constraints.platform or platform, asked.mode, asked.layout)


def _resolved(
    image: SourceOp, answer: ResolvedImage | PyllbError | None, read_text: ReadText
) -> tuple[ImageConfig, str]:
    """The config of an image, and the identifier with the digest that was found, "" when it is not asked for."""
    try:
        if answer is None:
            raise GraphError(f"nobody resolved the config of {image.identifier!r}")
        if isinstance(answer, PyllbError):
            raise answer
        if not isinstance(answer, ResolvedImage):
            raise GraphError(f"the config of {image.identifier!r} is {answer!r}; a resolver gives a ResolvedImage")
        pin = _pinned(image, answer) if image.image is not None and image.image.pin else ""
        return ImageConfig.parse(answer.config), pin
    except PyllbError as error:
        error.sources = error.sources or source_lines(image.site, read_text)
        raise


def _pinned(image: SourceOp, answer: ResolvedImage) -> str:
    """The identifier with the digest that its reference has now; a tag stays, for people."""
    if "@" in image.identifier or not answer.digest:
        return image.identifier
    return f"{image.identifier}@{answer.digest}"


@attrs.frozen(eq=False, repr=False)
class _Emitter:
    """Appends ops to a definition, each digest once."""

    encoder: OpEncoder
    sources: SourceMap
    ops: dict[str, bytes] = attrs.field(factory=dict, init=False)
    metadata: MetadataTable = attrs.field(factory=MetadataTable, init=False)
    results: dict[int, int] = attrs.field(factory=dict, init=False)

    def definition(self, vertices: Sequence[Vertex], root: Output | None) -> Definition:
        if root is None:
            return Definition((), {})
        self._emit(vertices, root)
        data = encode_input(self.encoder.digests, root)
        digest = "sha256:" + sha256(data).hexdigest()
        self.ops[digest] = data
        self.metadata.add_return(digest, caps.RETURN)
        return Definition(
            tuple(self.ops.items()), self.metadata.encoded, tuple(self.sources.infos), self.sources.locations()
        )

    def _emit(self, vertices: Sequence[Vertex], root: Output) -> None:
        encode, digests, base = self.encoder.encode, self.encoder.digests, self.encoder.base
        for vertex in vertices:
            if vertex.site is NOWHERE and self._emit_encoded(vertex, vertices, root):
                continue
            try:
                data, needs = encode(vertex)
                digest = "sha256:" + sha256(data).hexdigest()
                own = vertex.constraints
                self.metadata.add(digest, own if base is NO_CONSTRAINTS else own.over(base), needs)
            except UnicodeEncodeError as error:
                message = f"{error.object!r} cannot be written as UTF-8, as LLB needs it"
                raise GraphError(message, sources=source_lines(vertex.site, self.sources.read_text)) from error
            except GraphError as error:
                error.sources = error.sources or source_lines(vertex.site, self.sources.read_text)
                raise
            digests[id(vertex)] = digest
            self.sources.add(digest, vertex.site)
            self.ops.setdefault(digest, data)

    def _emit_encoded(self, vertex: Vertex, vertices: Sequence[Vertex], root: Output) -> bool:
        """Add an op that was marshalled before as it is; False when vertex is none.

        Its places are there once for each of its results that is read, as Go has a vertex for each of them.
        """
        from pyllb.ir.rare import EncodedOp  # here: few vertices have no site, and start-up is measured

        if not isinstance(vertex, EncodedOp):
            return False
        self.metadata.add_encoded(vertex.digest, vertex.constraints, vertex.caps, vertex.metadata)
        self.encoder.digests[id(vertex)] = vertex.digest
        if not self.results:
            self.results.update(results_read(vertices, root))
        self.sources.add_encoded(vertex.digest, vertex.places * self.results[id(vertex)])
        self.ops.setdefault(vertex.digest, vertex.data)
        return True


def _locals(vertices: Iterable[Vertex], read_text: ReadText) -> tuple[LocalUse, ...]:
    uses: dict[str, LocalUse] = {}
    for vertex in vertices:
        name = None if type(vertex) is ExecOp else local_name(vertex)  # nearly all are, and to ask takes longer
        if name is not None:
            use = LocalUse(name=name, dir=getattr(vertex, "local", None), site=vertex.site)
            first = uses.setdefault(name, use)
            if first.dir is None:
                uses[name] = use
            elif use.dir is not None and _path(first.dir) != _path(use.dir):
                raise GraphError(
                    f"local source {name!r} is both {first.dir.path!r} and {use.dir.path!r}; give one another name=",
                    sources=source_lines(vertex.site, read_text),
                )
    return tuple(uses.values())


def _path(local: LocalDir) -> str:
    """The directory as text, equal for two spellings of one directory in one or two files beside each other."""
    beside = "" if local.relative_to.startswith("<") else posixpath.dirname(local.relative_to)
    return posixpath.normpath(posixpath.join(beside, local.path))
