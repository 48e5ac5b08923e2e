"""Lab -> LabSpec. Pure: everything that a runtime is told is decided here, from the record, never from user input."""

from dataclasses import dataclass, replace

from worker.runtimes.base import Desk, LabSpec, Network
from worker.runtimes.mounts import MODELS, MODELS_AT, SCRATCH, TEAM, Mount


@dataclass(frozen=True, slots=True)
class LabFacts:
    """What the record says of one attempt of a lab."""

    lab_id: str
    attempt: int
    realm: str
    image: str
    image_digest: str
    owner_id: int
    uid: int
    gpu_uuids: tuple[str, ...]
    cpus: int
    memory_mib: int
    shm_mib: int
    pids: int
    base_url: str
    network_name: str
    network_subnet: str
    command: tuple[str, ...] = ()
    folder: str = ""
    output: str = ""
    teams: tuple[tuple[int, str], ...] = ()  # number and short name of each team of the owner's
    data: tuple[Mount, ...] = ()  # data sets that are ready on the node


@dataclass(frozen=True, slots=True)
class House:
    """What the installation adds to every lab."""

    shared_data: str
    gateway_key: str
    isolates: bool
    scratch_mib: int = 0  # the most that scratch holds; 0 is no scratch
    models: str = ""  # the node's models: a folder of its, or a volume of its engine's; "" for none
    team_gid: int = 1_000_000_000  # a team's group is this and its number


def workspace_name(realm: str, owner_id: int) -> str:
    """What a runtime calls the person's workspace."""
    return f"gpulab-{realm}-ws-{owner_id}"


def workspace_owner(realm: str, name: str) -> int | None:
    """Whose workspace it is; None where it is none of this realm."""
    number = name.removeprefix(workspace_name(realm, 0)[:-1])
    return int(number) if number.isdecimal() and workspace_name(realm, int(number)) == name else None


def models_name(realm: str, owner_id: int) -> str:
    """What a runtime calls the person's view of the node's models."""
    return f"gpulab-{realm}-models-{owner_id}"


def team_name(realm: str, group_id: int) -> str:
    """What a runtime calls a team's folder."""
    return f"gpulab-{realm}-team-{group_id}"


def _mounts(facts: LabFacts, house: House) -> tuple[Mount, ...]:
    """Data sets, the folder of each team, scratch that is this attempt's alone, and the node's models, which processes can only read."""
    teams = [Mount(f"/team/{slug}", TEAM, team_name(facts.realm, number), gid=house.team_gid + number) for number, slug in facts.teams]
    scratch = [Mount("/scratch", SCRATCH, f"gpulab-{facts.lab_id}-{facts.attempt}-scratch", size_mib=house.scratch_mib)] if house.scratch_mib else []
    view = models_name(facts.realm, facts.owner_id)
    models = [Mount(MODELS_AT, MODELS, view, below=house.models, locked=not house.isolates)] if house.models else []
    return (*facts.data, *teams, *scratch, *models)


def desk_spec(facts: LabFacts, house: House, token: str, desk: Desk) -> LabSpec:
    """The file page of a workspace: a lab's container with another program in it, the workspace and nothing else."""
    bare = replace(facts, gpu_uuids=(), command=(), teams=(), data=())
    return replace(lab_spec(bare, replace(house, shared_data="", gateway_key="", scratch_mib=0, models=""), token), desk=desk)


def lab_spec(facts: LabFacts, house: House, token: str) -> LabSpec:
    """The finished spec. A lab without GPUs sees none: the official images ask for all of them by default."""
    gpus = ",".join(facts.gpu_uuids)
    return LabSpec(
        lab_id=facts.lab_id,
        attempt=facts.attempt,
        node_id=facts.realm,
        image=facts.image,
        image_digest=facts.image_digest,
        uid=facts.uid,
        gid=facts.uid,
        username="lab",
        gpu_uuids=facts.gpu_uuids,
        cpus=float(facts.cpus),
        memory_mib=facts.memory_mib,
        shm_mib=facts.shm_mib,
        pids=facts.pids,
        workspace=workspace_name(facts.realm, facts.owner_id),
        shared_data=house.shared_data,
        token=token,
        base_url=facts.base_url,
        gateway_key=house.gateway_key,
        network=Network(facts.network_name, facts.network_subnet) if house.isolates else None,
        command=facts.command,
        folder=facts.folder,
        output=facts.output,
        mounts=_mounts(facts, house),
        environment={"NVIDIA_VISIBLE_DEVICES": gpus or "void", "GPULAB_LAB": facts.lab_id},
    )
