"""Adding, describing and retiring images."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from django.db import IntegrityError, transaction

from labs.catalogue.models import Contents, Image
from labs.catalogue.official import BUILDS, REPOSITORY, never, told_by_tag
from labs.catalogue.scans import BadReport, findings_of
from labs.ledger.services import Actor, event_record
from labs.people.errors import Refused
from labs.people.models import Group, Role

#: What a label says, and what was read in the image under the same name.
LABELS = ("torch", "cuda", "python")
#: What is kept of a look inside.
INSIDE = ("architecture", "jupyter_server", "jupyterlab", "sshd", "forward", "licences", "cudnn", "nccl", "sass", "ptx", "size", "layers", "made_at", *LABELS)
#: A large image has some thousand packages.
MOST_PACKAGES = 20_000
#: Licences that are shown, characters of one thing that it says of itself, and of a version.
MOST_LICENCES, MOST_WORDS, SHORT = 500, 2000, 20


def image_add(
    *, slug: str, title: str, runtime: str, repository: str, tag: str, digest: str = "", description: str = "", actor: Actor | None, now: datetime, **more: Any
) -> Image:
    """Add an image. Refused: the tag `latest`, which names another image tomorrow; a build that never existed; and a taken name."""
    if tag == "latest" or not tag:
        raise Refused("Name a tag other than 'latest': latest is another image tomorrow.", field="tag")
    missing = never(*told_by_tag(tag))
    if missing:
        raise Refused(missing, field="tag")
    try:
        with transaction.atomic():
            image = Image.objects.create(
                slug=slug,
                title=title,
                runtime=runtime,
                repository=repository,
                tag=tag,
                digest=digest,
                pulled=bool(digest),
                description=description,
                created_at=now,
                **more,
            )
            _event(image, "image.added", f"Image {image} ({repository}:{tag}) added.", actor, now)
    except IntegrityError as error:
        raise Refused(f"There is an image {slug!r} already.", field="slug") from error
    return image


def _event(image: Image, kind: str, words: str, actor: Actor | None, now: datetime) -> None:
    event_record(kind=kind, subject=f"image:{image.pk}", words=words, actor=actor, now=now)


def image_active_set(*, image: Image, is_active: bool, actor: Actor, now: datetime) -> None:
    """Offer an image or retire it; running labs are not touched."""
    with transaction.atomic():
        image.is_active = is_active
        image.save(update_fields=["is_active"])
        _event(image, "image.changed", f"Image {image} is {'offered' if is_active else 'retired'}.", actor, now)


def image_rules_set(
    *, image: Image, roles: Sequence[str], groups: Sequence[Group], deprecated_on: date | None, keeping: str, actor: Actor, now: datetime
) -> None:
    """Who may use it, until when, and where it is kept. Neither roles nor groups: everybody. Running labs are not touched."""
    if keeping not in Image.Keeping.values or set(roles) - set(Role.values):
        raise Refused("Choose from the list.", field="keeping")
    with transaction.atomic():
        image.roles, image.deprecated_on, image.keeping = sorted(roles), deprecated_on, keeping
        image.save(update_fields=["roles", "deprecated_on", "keeping"])
        image.groups.set(groups)
        who = ", ".join([*(str(Role(role).label) for role in image.roles), *map(str, groups)]) or "everybody"
        until = f", until {deprecated_on}" if deprecated_on else ""
        _event(image, "image.changed", f"Image {image} is for {who}{until}; kept: {Image.Keeping(keeping).label.lower()}.", actor, now)


def image_described(*, image_id: int, digest: str, pulled: bool, torch: str, cuda: str, python: str) -> None:
    """Write down what a node found in the image. The digest is written once: another digest is another image.

    What was read in the image itself is better than its labels, and stays.
    """
    Image.objects.filter(pk=image_id, digest="").update(digest=digest, pulled=pulled)
    for name, value in {"torch": torch, "cuda": cuda, "python": python}.items():
        if value:
            Image.objects.filter(pk=image_id, looked_at=None).update(**{name: value})


def image_looked(*, image_id: int, told: Mapping[str, Any], labels: Mapping[str, str], now: datetime) -> Image:
    """Write down what was read in the image itself. Labels that say something else are told of; without Jupyter in it no lab starts from it.

    Its own Python said so, which its maker may have changed: what is not of its kind is left out.
    """
    image = Image.objects.get(pk=image_id)
    told = {name: value for name, value in told.items() if _is_of_kind(name, value)}
    image.inside = {name: told[name] for name in INSIDE if name in told}
    lies = [f"its label says {name} {labels[name]}, in it is {told[name] or 'none'}" for name in LABELS if _lies(labels.get(name, ""), told, name)]
    lacks = [] if told.get("jupyter_server") or image.runtime == Image.Runtime.PROCESS else ["Jupyter is not in it, so no lab starts from it"]
    lacks += [str(told["torch_words"])] if told.get("torch_words") else []
    image.is_fit = bool(told.get("jupyter_server")) or image.runtime == Image.Runtime.PROCESS
    image.inside_words = "; ".join([*lies, *lacks])[:2000]
    image.looked_at = now
    for name in LABELS:
        setattr(image, name, str(told.get(name, ""))[:SHORT])
    with transaction.atomic():
        _contents_write(image, told.get("packages") or (), now)
        image.save(update_fields=["inside", "is_fit", "inside_words", "looked_at", *LABELS])
        if image.inside_words:
            _event(image, "image.odd", f"Image {image}, looked into: {image.inside_words}.", None, now)
    return image


def _is_of_kind(name: str, value: object) -> bool:
    match name:
        case "sass" | "packages":
            return isinstance(value, list)
        case "licences":
            return isinstance(value, dict) and len(value) <= MOST_LICENCES and all(isinstance(said, str) for said in value.values())
        case "size" | "layers":
            return isinstance(value, int) and value >= 0
        case "sshd" | "forward":
            return isinstance(value, bool)
        case _:
            return isinstance(value, str) and len(value) <= MOST_WORDS


def _lies(label: str, told: Mapping[str, Any], name: str) -> bool:
    """A label may leave out a build's local part (2.9.1 for 2.9.1+cu128) and a patch level (3.11 for 3.11.2)."""
    found = str(told.get(name, ""))
    return bool(label) and name in told and not (found == label or found.partition("+")[0] == label or found.startswith(f"{label}."))


def _contents_write(image: Image, packages: Iterable[Mapping[str, str]], now: datetime) -> None:
    """Also where there are none: an image is asked for its packages once."""
    plain = [{name: str(one.get(name, ""))[:200] for name in ("name", "version", "kind", "licence")} for one in packages if isinstance(one, dict)]
    named = [one for one in plain[:MOST_PACKAGES] if one["name"]]
    Contents.objects.update_or_create(image=image, defaults={"packages": named, "read_at": now})


def image_unreadable(*, image_id: int, words: str, now: datetime) -> None:
    """It could not be looked into: it is no lab, unless it was found to be one before."""
    with transaction.atomic():
        image = Image.objects.get(pk=image_id)
        image.is_fit = image.is_fit and image.looked_at is not None
        image.inside_words, image.looked_at = words[:2000], now
        _contents_write(image, (), now)
        image.save(update_fields=["is_fit", "inside_words", "looked_at"])
        _event(image, "image.odd", f"Image {image} could not be looked into: {words}", None, now)


def image_tag_seen(*, image_id: int, digest: str, now: datetime) -> None:
    """What the registry has under the tag now. A tag that moved is told of once; labs get what they got before."""
    image = Image.objects.get(pk=image_id)
    known, image.tag_digest, image.tag_checked_at = image.tag_digest, digest, now
    with transaction.atomic():
        image.save(update_fields=["tag_digest", "tag_checked_at"])
        if image.moved and digest != known:
            _event(image, "image.moved", f"The tag {image.name} is another image now ({digest[:19]}…); labs get the one that it was.", None, now)


def image_renew(*, image: Image, actor: Actor, now: datetime) -> Image:
    """A new image in its place: what its tag is now, or all of it built anew. The old one stays until it is retired."""
    if image.runtime != Image.Runtime.DOCKER:
        raise Refused("An environment of this machine is always what the lock says.")
    if image.made_by_id is not None:
        raise Refused("A person made it. They make it anew from the image that it lies on.")
    stamp = f"{now:%Y%m%d}"
    built = image.repository.startswith("gpulab/")
    base = image.tag.split("-r2")[0]
    return image_add(
        slug=f"{image.slug.split('-r2')[0][:70]}-r{stamp}",
        title=f"{image.title.partition(' (made ')[0][:80]} (made {now:%-d %b %Y})",
        runtime=image.runtime,
        repository=image.repository,
        tag=f"{base}-r{stamp}" if built else image.tag,
        description=image.description,
        actor=actor,
        now=now,
        replaces=image,
        roles=image.roles,
        keeping=image.keeping,
    )


def image_scan_take(*, image: Image, report: Any, actor: Actor, now: datetime) -> Image:
    """Take what a scanner found. Refused: a report of another image, or none at all."""
    try:
        found = findings_of(report)
    except BadReport as error:
        raise Refused(str(error), field="report") from error
    if image.digest and found.digests and image.digest not in found.digests:
        raise Refused(f"The report is of another image ({found.digests[0][:19]}…), not of {image.digest[:19]}….", field="report")
    image.findings = {"scanner": found.scanner, "counts": dict(found.counts), "worst": [dict(one) for one in found.worst]}
    image.scanned_at = now
    with transaction.atomic():
        image.save(update_fields=["findings", "scanned_at"])
        total = sum(found.counts.values())
        _event(image, "image.scanned", f"Image {image}: {found.scanner} knows of {total} weakness{'' if total == 1 else 'es'}.", actor, now)
    return image


def images_seed(*, now: datetime) -> int:
    """Put the official builds into the catalogue, to be offered by a click; how many are new."""
    known = set(Image.objects.filter(repository=REPOSITORY).values_list("tag", flat=True))
    missing = [build for build in BUILDS if build.tag not in known]
    for build in missing:
        slug = f"pytorch-{build.tag}".replace(".", "-")
        words = (
            f"The official build of PyTorch {build.torch} for CUDA {build.cuda}{' with the CUDA compilers' if build.devel else ''}, with JupyterLab and SSH."
        )
        image_add(
            slug=slug,
            title=build.title,
            runtime="docker",
            repository=REPOSITORY,
            tag=build.tag,
            description=words,
            actor=None,
            now=now,
            torch=build.torch,
            cuda=build.cuda,
            is_active=False,
        )
    return len(missing)


def image_ensure(*, runtime: str, reference: str, title: str, description: str, now: datetime) -> Image:
    """The image that a node brings along; added at its first start."""
    repository, _, tag = reference.rpartition(":")
    found = Image.objects.filter(runtime=runtime, repository=repository, tag=tag).first()
    if found:
        return found
    slug = f"{repository.rsplit('/', 1)[-1]}-{tag}".replace(".", "-").replace("_", "-").replace("+", "-").lower()
    return image_add(slug=slug[:80], title=title, runtime=runtime, repository=repository, tag=tag, description=description, actor=None, now=now)
