"""Adding, describing and retiring images."""

from datetime import datetime

from django.db import IntegrityError, transaction

from labs.catalogue.models import Image
from labs.ledger.services import Actor, event_record
from labs.people.errors import Refused


def image_add(
    *, slug: str, title: str, runtime: str, repository: str, tag: str, digest: str = "", description: str = "", actor: Actor | None, now: datetime
) -> Image:
    """Add an image. Refused: the tag `latest`, which names another image tomorrow, and a taken name."""
    if tag == "latest" or not tag:
        raise Refused("Name a tag other than 'latest': latest is another image tomorrow.", field="tag")
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
            )
            event_record(kind="image.added", subject=f"image:{image.pk}", words=f"Image {image} ({repository}:{tag}) added.", actor=actor, now=now)
    except IntegrityError as error:
        raise Refused(f"There is an image {slug!r} already.", field="slug") from error
    return image


def image_active_set(*, image: Image, is_active: bool, actor: Actor, now: datetime) -> None:
    """Offer an image or retire it; running labs are not touched."""
    with transaction.atomic():
        image.is_active = is_active
        image.save(update_fields=["is_active"])
        words = f"Image {image} is {'offered' if is_active else 'retired'}."
        event_record(kind="image.changed", subject=f"image:{image.pk}", words=words, actor=actor, now=now)


def image_described(*, image_id: int, digest: str, pulled: bool, torch: str, cuda: str, python: str) -> None:
    """Write down what a node found in the image. The digest is written once: another digest is another image."""
    Image.objects.filter(pk=image_id, digest="").update(digest=digest, pulled=pulled)
    for name, value in {"torch": torch, "cuda": cuda, "python": python}.items():
        if value:
            Image.objects.filter(pk=image_id).update(**{name: value})


def image_ensure(*, runtime: str, reference: str, title: str, description: str, now: datetime) -> Image:
    """The image that a node brings along; added at its first start."""
    repository, _, tag = reference.rpartition(":")
    found = Image.objects.filter(runtime=runtime, repository=repository, tag=tag).first()
    if found:
        return found
    slug = f"{repository.rsplit('/', 1)[-1]}-{tag}".replace(".", "-").replace("_", "-").replace("+", "-").lower()
    return image_add(slug=slug[:80], title=title, runtime=runtime, repository=repository, tag=tag, description=description, actor=None, now=now)
