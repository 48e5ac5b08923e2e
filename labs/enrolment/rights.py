"""What a joined node may see and write of the records: a view a table, of its own rows only. What is not listed is not there. Pure.

A node's role has no right to any table of the house. Its search path is a schema of views of the same names, each of the rows
that concern that node and without what is none of its business: passwords, addresses, keys, tokens, other nodes' labs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

SCHEMA = "gpulab_node"
ME = f"(SELECT {SCHEMA}.me())"
_LABS = f"SELECT id FROM public.lifecycle_lab WHERE node_id = {ME}"
_GPUS = f"SELECT uuid FROM public.fleet_gpu WHERE node_id = {ME}"
_OWNERS = f"SELECT owner_id FROM public.lifecycle_lab WHERE node_id = {ME} UNION SELECT owner_id FROM public.storage_workspaceuse WHERE node_id = {ME}"
_STARTED = f"SELECT version_id FROM public.starters_start WHERE lab_id IN ({_LABS})"
_DESKS = f"SELECT owner_id FROM public.files_desk WHERE node_id = {ME}"
_PEOPLE = f"SELECT id FROM public.people_user WHERE id IN ({_OWNERS} UNION {_DESKS}) OR role = 'administrator' AND is_active"
_REQUEUED = f"requeued_from_id IN (SELECT id FROM public.lifecycle_lab AS before WHERE before.node_id = {ME} AND before.owner_id = t.owner_id)"
_OWN_EVENT = (
    f"subject = 'node:' || {ME} OR subject IN (SELECT 'lab:' || id FROM ({_LABS}) AS mine) OR subject IN (SELECT 'gpu:' || uuid FROM ({_GPUS}) AS mine)"
)


@dataclass(frozen=True, slots=True)
class Right:
    """One table as nodes have it. `may`: letters of select, insert, update, delete; `blank`: columns that read as nothing.

    `update` and `select` narrow those to columns; `where` is about the table, which is called t.
    """

    table: str
    may: str
    where: str = "TRUE"
    blank: Mapping[str, str] = field(default_factory=dict)
    select: tuple[str, ...] = ()
    update: tuple[str, ...] = ()


def _mine(table: str, may: str = "SIUD") -> Right:
    return Right(table, may, f"node_id = {ME}")


def _of_labs(table: str, may: str) -> Right:
    return Right(table, may, f"lab_id IN ({_LABS})")


def _of_triggers(table: str) -> Right:
    return Right(table, "SID", f"node_id = {ME} AND trigger_id IN (SELECT id FROM public.jobs_trigger WHERE owner_id IN ({_OWNERS}))")


def _of_cards(table: str, may: str) -> Right:
    return Right(table, may, f"gpu_id IN ({_GPUS})")


_MADE = ("state", "percent", "words", "log", "repository", "tag", "digest", "pulled", "size_before", "size_after", "began_at", "ended_at")
_PACKED = ("state", "words", "files", "warnings", "size", "digest", "content", "state_since")
_SEEN = ("inside", "inside_words", "is_fit", "looked_at", "tag_digest", "tag_checked_at")
_NOBODY = {"password": "''::varchar", "email": "''::varchar", "first_name": "''::varchar", "last_name": "''::varchar", "last_login": "NULL::timestamptz"}
RIGHTS: tuple[Right, ...] = (
    Right("fleet_node", "SU", f"id = {ME}"),
    _mine("fleet_gpu", "SIU"),
    _mine("fleet_nodeimage"),
    _mine("fleet_draintold"),
    _mine("quarantine_stray"),
    _mine("lifecycle_personnetwork"),
    _mine("storage_workspaceuse"),
    _mine("snapshots_snapshot"),
    _mine("snapshots_restore", "SU"),
    Right("datasets_dataset", "S"),
    Right("datasets_dataset_groups", "S"),
    _mine("datasets_datacopy"),
    _mine("files_desk", "SU"),
    Right("tidying_chore", "SU", f"node_id = {ME}", update=("state", "found", "count", "freed", "words", "ended_at")),
    _mine("announcements_told", "SIU"),
    Right("relocation_relocation", "S", f"source_id = {ME} OR destination_id = {ME}"),
    Right("announcements_announcement", "S"),
    # What an image is was settled by whoever added it: a node may only say what it found in one.
    Right("catalogue_image", "SU", update=("digest", "pulled", "torch", "cuda", "python", *_SEEN)),
    Right("catalogue_contents", "SIU"),
    # Whether a lab's owner may still use its image, asked before it starts.
    Right("catalogue_image_groups", "S"),
    # What was asked for is settled: a node says how far it is, and what came of it.
    Right("making_making", "SU", f"node_id = {ME}", update=_MADE),
    Right("catalogue_qualification", "SU", f"node = {ME}"),
    Right("lifecycle_lab", "SIU", f"node_id = {ME} OR {_REQUEUED}"),
    _of_labs("lifecycle_lease", "SU"),
    _of_labs("lifecycle_reclaim", "SU"),
    _of_cards("lifecycle_keep", "SU"),
    _of_labs("idleness_idleness", "SIU"),
    _of_labs("sharing_app", "SIU"),
    Right("sharing_share", "SU", f"lab_id IN ({_LABS})", update=("withdrawn_at",)),
    _of_labs("starters_start", "SU"),
    # A folder is copied where it lies; what became of it is the house's, and a node reads the files of versions that it starts.
    Right("starters_parcel", "SU", f"node_id = {ME}", update=_PACKED),
    Right("starters_bundle", "S", f"version_id IN ({_STARTED})"),
    Right("starters_version", "S", f"id IN ({_STARTED})"),
    Right("starters_template", "S", f"id IN (SELECT template_id FROM public.starters_version WHERE id IN ({_STARTED}))"),
    _of_labs("telemetry_labminute", "SIU"),
    _of_labs("telemetry_labhour", "SIU"),
    _of_labs("telemetry_labsummary", "SIU"),
    _of_cards("telemetry_gpuminute", "SIU"),
    _of_cards("telemetry_gpuhour", "SIU"),
    # Written as the platform, never as a person.
    Right("jobs_trigger", "S", f"owner_id IN ({_OWNERS})", select=("id", "owner_id", "kind", "watch", "paused")),
    _of_triggers("jobs_arrival"),
    _of_triggers("jobs_watched"),
    Right("ledger_event", "SI", f"actor_id IS NULL AND ({_OWN_EVENT} OR kind LIKE 'image.%' OR kind LIKE 'disk.%')"),
    # A message is handed over and not read again; update is what it takes to lock a row, and no column of these can be.
    Right("people_user", "SU", f"id IN ({_PEOPLE})", blank=_NOBODY, update=("password",)),
    Right("people_group", "S"),
    Right("people_membership", "S", f"user_id IN ({_PEOPLE})"),
    Right("notices_notice", "SI", f"user_id IN ({_PEOPLE})", select=("id", "user_id", "kind", "key", "queued_at", "until")),
    Right("notices_delivery", "SI", f"notice_id IN (SELECT id FROM public.notices_notice WHERE user_id IN ({_PEOPLE}))"),
    Right("notices_choice", "S", f"user_id IN ({_PEOPLE})"),
    Right("notices_webhook", "S", f"user_id IN ({_PEOPLE})", select=("id", "user_id")),
    Right("storage_disklevel", "SIU", f"owner_id IN ({_OWNERS})"),
    Right("policy_rolelimits", "S"),
    Right("policy_grouplimits", "S"),
    Right("policy_limitwindow", "S"),
    Right("policy_limitoverride", "S", f"user_id IN ({_PEOPLE}) OR user_id IS NULL"),
)
_VERBS = {"S": "SELECT", "I": "INSERT", "U": "UPDATE", "D": "DELETE"}


def schema_make(columns: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The statements that make the schema anew. `columns` of each table that there is; one that a later version brings is not exposed before."""
    yield f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"
    yield f"CREATE SCHEMA {SCHEMA}"
    yield (
        f"CREATE FUNCTION {SCHEMA}.me() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS "
        "$$ SELECT node_id FROM public.enrolment_credential WHERE role = session_user AND revoked_at IS NULL $$"
    )
    yield (
        f"CREATE FUNCTION {SCHEMA}.cards_taken() RETURNS double precision LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS "
        "$$ SELECT 100 * coalesce(sum(share) FILTER (WHERE uuid IN (SELECT gpu_id FROM public.lifecycle_lease WHERE closed_at IS NULL)), 0) "
        "/ nullif(sum(share), 0) FROM public.fleet_gpu WHERE health = 'ok' AND NOT mig $$"
    )
    yield from _digests_keep()
    for right in _there(columns):
        shown = ", ".join(f"{right.blank[name]} AS {_name(name)}" if name in right.blank else f"t.{_name(name)}" for name in columns[right.table])
        check = " WITH LOCAL CHECK OPTION" if "I" in right.may or "U" in right.may else ""
        yield f"CREATE VIEW {SCHEMA}.{right.table} WITH (security_barrier) AS SELECT {shown} FROM public.{right.table} AS t WHERE {right.where}{check}"


def _digests_keep() -> Iterator[str]:
    """What an image's name stands for is written once: no node puts another in its place."""
    yield (
        f"CREATE FUNCTION {SCHEMA}.digest_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF {SCHEMA}.me() IS NOT NULL THEN RAISE EXCEPTION 'a node changes no digest'; END IF; RETURN NEW; END $$"
    )
    yield (
        "CREATE TRIGGER gpulab_node_digest BEFORE UPDATE ON public.catalogue_image FOR EACH ROW "
        f"WHEN (OLD.digest <> '' AND NEW.digest IS DISTINCT FROM OLD.digest) EXECUTE FUNCTION {SCHEMA}.digest_keep()"
    )


def role_grant(role: str, columns: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The statements that give a node's role its rights, and nothing else."""
    yield f"GRANT USAGE ON SCHEMA {SCHEMA} TO {_name(role)}"
    yield f"GRANT EXECUTE ON FUNCTION {SCHEMA}.me(), {SCHEMA}.cards_taken() TO {_name(role)}"
    for right in _there(columns):
        for letter in right.may:
            yield f"GRANT {_VERBS[letter]}{_narrowed(right, letter, columns[right.table])} ON {SCHEMA}.{right.table} TO {_name(role)}"


def _narrowed(right: Right, letter: str, columns: Sequence[str]) -> str:
    names = [name for name in {"S": right.select, "U": right.update}.get(letter, ()) if name in columns]
    return f" ({', '.join(map(_name, names))})" if names else ""


def _there(columns: Mapping[str, Sequence[str]]) -> Iterable[Right]:
    return (right for right in RIGHTS if right.table in columns)


def _name(name: str) -> str:
    """An identifier of ours as SQL has it."""
    return '"' + name.replace('"', '""') + '"'
