"""Images on the node: what is held, and getting what is not, with progress in words."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import IO, Any

from worker.runtimes.base import ImageFacts, Progress, RuntimeFault
from worker.runtimes.docker.client import HTTP_BAD_REQUEST, HTTP_CONFLICT, APIError, Engine, ImageNotFound, faults
from worker.runtimes.docker.names import Sources, split
from worker.runtimes.docker.progress import BuildProgress, PullProgress
from worker.runtimes.makes import Hear, Layers

#: As the engine names a processor, and as registries do.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
HTTP_NOT_FOUND = 404
FULL = "no space left on device"
#: What a registry that is away looks like in the engine's words.
AWAY = ("connection refused", "no such host", "i/o timeout", "connection reset", "EOF", "network is unreachable")


def architecture_of(said: str) -> str:
    """amd64, arm64, or what the engine says."""
    return ARCHITECTURES.get(said, said)


class Images:
    """The images of one engine, from these sources."""

    def __init__(self, engine: Engine, sources: Sources) -> None:
        self._engine = engine
        self._sources = sources

    def held_as(self, reference: str) -> str:
        """The name under which the engine holds it: the mirror's, or its own where it was there before the mirror."""
        mirrored = self._sources.pulled_as(reference)
        return reference if mirrored == reference or self._inspect(mirrored) is None else mirrored

    def facts(self, reference: str) -> ImageFacts | None:
        """What the engine holds under a reference."""
        name = self.held_as(reference)
        found = self._inspect(name)
        if found is None:
            return None
        pulled = pulled_digest(found.get("RepoDigests") or [], name)
        return ImageFacts(
            digest=pulled or found["Id"],
            pulled=bool(pulled),
            labels=found["Config"].get("Labels") or {},
            architecture=found.get("Architecture", ""),
            size=found.get("Size", 0),
            layers=len(found.get("RootFS", {}).get("Layers") or []),
            made_at=found.get("Created", ""),
        )

    def _inspect(self, name: str) -> dict[str, Any] | None:
        with faults("The image could not be looked up"):
            try:
                found: dict[str, Any] = self._engine.api.inspect_image(name)
            except ImageNotFound:
                return None
            return found

    def digest_now(self, reference: str) -> str:
        """The digest that the registry has under a tag now; empty for what has no registry."""
        if self._sources.folder_of(reference) or self._sources.tar_of(reference) or reference.startswith("sha256:"):
            return ""
        return str(self._told(reference)["Descriptor"]["digest"])

    def _told(self, reference: str) -> dict[str, Any]:
        with faults("The registry could not be asked"):
            told: dict[str, Any] = self._engine.with_credentials(self._sources.credentials).inspect_distribution(self._sources.pulled_as(reference))
            return told

    def prepare(self, reference: str, progress: Progress, *, fresh: bool, layers: Layers | None = None) -> None:
        """Load, build or pull it. `fresh`: build all of it anew, on the base as it is in its registry now.

        Takes minutes. What `progress` raises ends it; RuntimeFault comes with the engine's last words.
        """
        with faults("The image could not be prepared"), _told_in_words():
            if tar := self._sources.tar_of(reference):
                progress(10, "Loading it from a file")
                with tar.open("rb") as content:
                    _follow(self._engine.patient.load_image(content), PullProgress(), progress)
            elif self._sources.folder_of(reference):
                self._build(reference, progress, fresh)
            else:
                self._pull(reference, progress, layers)
        self._fits(reference)
        progress(100, "Ready")

    def _build(self, reference: str, progress: Progress, fresh: bool) -> None:
        folder, arguments = self._sources.folder_of(reference), self._sources.build_arguments(reference)
        client = self._engine.with_credentials(self._sources.credentials, patient=True)
        lines = client.build(path=str(folder), tag=reference, buildargs=arguments, rm=True, forcerm=True, decode=True, nocache=fresh, pull=fresh)
        _follow(lines, BuildProgress(), progress)

    def built(self, context: IO[bytes], name: str, progress: Progress) -> None:
        """Build a context that lies ready as a tar, without a network."""
        lines = self._engine.patient.build(fileobj=context, custom_context=True, tag=name, rm=True, forcerm=True, decode=True, network_mode="none")
        with _told_in_words():
            _follow(lines, BuildProgress(), progress)

    def built_heard(self, context: IO[bytes], name: str, hear: Hear) -> None:
        """Build a context, and hear each line of it."""
        client = self._engine.with_credentials(self._sources.credentials, patient=True)
        with faults("The image could not be built"), _told_in_words():
            for line in client.build(fileobj=context, custom_context=True, tag=name, rm=True, forcerm=True, decode=True):
                hear(str(line.get("stream", "")))
                if "error" in line:
                    raise RuntimeFault(_in_words(str(line["error"]).strip()), transient=False)

    def pushed(self, name: str, repository: str) -> tuple[str, str]:
        """Hand an image to a registry; the repository there, and its digest. RuntimeFault when it is not taken."""
        with faults("The registry did not take it"), _told_in_words():
            client = self._engine.with_credentials(self._sources.credentials, patient=True)
            client.tag(name, repository, "1", force=True)
            for line in client.push(repository, tag="1", stream=True, decode=True):
                if "error" in line:
                    raise RuntimeFault(_in_words(str(line["error"]).strip()))
            digest = pulled_digest(client.inspect_image(f"{repository}:1").get("RepoDigests") or [], f"{repository}:1")
        if not digest:
            raise RuntimeFault("The registry told no digest.")
        return repository, digest

    def _pull(self, reference: str, progress: Progress, layers: Layers | None) -> None:
        repository, tag = split(self._sources.pulled_as(reference))
        if repository == "sha256":
            raise RuntimeFault(
                "The image was built or loaded on another node and no registry has it. Push it to a registry, and add it from there.", transient=False
            )
        if not tag:
            raise RuntimeFault("An image is named with its tag or digest.", detail=reference, transient=False)
        self._made_for_us(reference)
        client = self._engine.with_credentials(self._sources.credentials, patient=True)
        told = PullProgress()

        def both(percent: int, words: str) -> None:
            if layers:
                layers(told.layers())
            progress(percent, words)

        _follow(client.pull(repository, tag=tag, stream=True, decode=True), told, both)

    def _made_for_us(self, reference: str) -> None:
        """Refuse an image of another processor before a byte of it comes; a registry that does not tell is believed."""
        try:
            told = self._told(reference)
        except RuntimeFault:
            return
        made = {platform.get("architecture", "") for platform in told.get("Platforms") or []}
        if made and self.architecture() not in made:
            raise _other_architecture(" and ".join(sorted(made)), self.architecture())

    def _fits(self, reference: str) -> None:
        facts = self.facts(reference)
        if facts and facts.architecture and facts.architecture != self.architecture():
            raise _other_architecture(facts.architecture, self.architecture())

    def architecture(self) -> str:
        """The node's own processor."""
        return architecture_of(str(self._engine.api.info()["Architecture"]))

    def remove(self, reference: str) -> bool:
        """Let the engine forget it; False where a container is made of it, or others have named it too."""
        name = self.held_as(reference)
        found = self._inspect(name)
        if found is None:
            return True
        with faults("The image could not be removed"):
            if self._engine.api.containers(all=True, filters={"ancestor": found["Id"]}):
                return False
            try:
                self._engine.patient.remove_image(found["Id"], force=False)
            except APIError as error:
                if error.status_code != HTTP_CONFLICT:
                    raise
        return self._inspect(name) is None


def _other_architecture(made: str, node: str) -> RuntimeFault:
    return RuntimeFault(f"The image is built for {made}; this node is {node}. Choose an image built for {node}.", transient=False)


def pulled_digest(digests: list[str], reference: str) -> str:
    """The registry's digest among what an engine knows an image by; empty where it was never pulled under that name."""
    repository, _ = split(reference)
    known = dict(one.split("@", 1) for one in digests if "@" in one)
    return known.get(repository, "")


def _follow(lines: Iterable[dict[str, Any]], told: BuildProgress | PullProgress, progress: Progress) -> None:
    """Tell what the engine says. It ends its work when nobody reads on: what `progress` raises cancels it."""
    for line in lines:
        if "error" in line:
            said = str(line["error"]).strip()
            raise RuntimeFault(_in_words(said), detail=told.tail() or said)
        progress(*told.hear(line))


@contextlib.contextmanager
def _told_in_words() -> Iterator[None]:
    try:
        yield
    except APIError as error:
        hopeless = error.status_code in (HTTP_BAD_REQUEST, HTTP_NOT_FOUND)
        raise RuntimeFault(_in_words(str(error.explanation or error).strip()), detail=str(error), transient=not hopeless) from error


def _in_words(said: str) -> str:
    if FULL in said:
        return "The disk of the node's images is full: free space on it (unused images, old files), then try again."
    if any(sign in said for sign in AWAY):
        return f"The registry does not answer; it is tried again. It was said: {said}"
    return f"The image could not be prepared: {said}"
