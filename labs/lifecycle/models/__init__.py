"""The room's records."""

from labs.lifecycle.models.lab import ID_ALPHABET, Lab, LabToken, Lease, PersonNetwork, is_past, name_validator, new_lab_id
from labs.lifecycle.models.queue import Estimate, Keep, QueueMove, Reclaim

__all__ = [
    "ID_ALPHABET",
    "Estimate",
    "Keep",
    "Lab",
    "LabToken",
    "Lease",
    "PersonNetwork",
    "QueueMove",
    "Reclaim",
    "is_past",
    "name_validator",
    "new_lab_id",
]
