"""Does PyTorch compute in this lab, and how fast? One JSON object; run in a lab, by its own interpreter, within its limits.

    python3 -I qualify.py [--expect cuda|cpu] [--short] [--only NAME]

Every check says what it found in words; one that fails fails the whole. It needs torch alone, no network and no file of anybody's.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from datetime import timedelta

import torch
from torch import nn
from torch.utils.benchmark import Timer

SEED = 20_251_121
#: The largest part of a result that a precision may be off by, against the same product in float64.
TOLERANCE = {"fp32": 1e-4, "tf32": 5e-3, "bf16": 3e-2}
BATCH_BYTES = 32 * 1024 * 1024
WORKERS = 4


class Failed(Exception):
    """A check's finding, in words."""


class Run:
    """What the checks share: the device, and how much is asked of it."""

    def __init__(self, *, cuda: bool, short: bool) -> None:
        self.device = torch.device("cuda" if cuda else "cpu")
        self.cuda = cuda
        self.short = short

    def seconds(self, work, times: int) -> float:
        """What one call takes, after one to warm up; waits for the card."""
        return Timer("work()", globals={"work": work}, num_threads=torch.get_num_threads()).timeit(times).mean


def check_card(run: Run) -> dict:
    """Torch sees the card, or none where none was given."""
    found = torch.cuda.is_available()
    if run.cuda and not found:
        raise Failed("The lab has a GPU, and torch does not see it.")
    if not run.cuda:
        return {"words": "no GPU, as asked", "threads": torch.get_num_threads()}
    about = torch.cuda.get_device_properties(0)
    capability = ".".join(map(str, torch.cuda.get_device_capability(0)))
    return {"words": f"{about.name}, {about.total_memory // 2**30} GiB", "card": about.name, "capability": capability, "cards": torch.cuda.device_count()}


def check_matmul(run: Run) -> dict:
    """Products in three precisions against float64, and TFLOP/s."""
    small, large = 256, (4096 if run.cuda else 512 if run.short else 1024)
    kinds = ("fp32", "tf32", "bf16") if run.cuda else ("fp32", "bf16")
    torch.manual_seed(SEED)
    left, right = torch.randn(small, small), torch.randn(small, small)
    expected = left.double() @ right.double()
    found: dict = {}
    for kind in kinds:
        torch.backends.cuda.matmul.allow_tf32 = kind == "tf32"
        dtype = torch.bfloat16 if kind == "bf16" else torch.float32
        got = (left.to(run.device, dtype) @ right.to(run.device, dtype)).double().cpu()
        off = float((got - expected).abs().max() / expected.abs().max())
        if not off <= TOLERANCE[kind]:
            raise Failed(f"A product in {kind} is off by {off:.2g} of its size; {TOLERANCE[kind]:.2g} is the most.")
        big = torch.randn(large, large, device=run.device).to(dtype)
        taken = run.seconds(lambda big=big: big @ big, 3)
        found[f"{kind}_tflops"] = round(2 * large**3 / taken / 1e12, 3)
        found[f"{kind}_off"] = float(f"{off:.2g}")
    torch.backends.cuda.matmul.allow_tf32 = False
    return {"words": ", ".join(f"{kind} {found[f'{kind}_tflops']:g} TFLOP/s" for kind in kinds)} | found


def small_net() -> nn.Module:
    """A convolutional net for 32 x 32 pictures of ten kinds."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 8 * 8, 10),
    )  # fmt: skip


def trained(run: Run, *, steps: int, amp: bool = False) -> list[float]:
    """Losses of a few steps on pictures that differ by their brightness."""
    torch.manual_seed(SEED)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    kinds = torch.arange(64) % 10
    pictures = (torch.randn(64, 3, 32, 32) * 0.3 + (kinds / 5 - 1).view(-1, 1, 1, 1)).to(run.device)
    net, kinds = small_net().to(run.device), kinds.to(run.device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        with torch.autocast(run.device.type, dtype=torch.bfloat16, enabled=amp):
            loss = nn.functional.cross_entropy(net(pictures), kinds)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def check_training(run: Run) -> dict:
    """The loss falls; the same seed gives the same loss."""
    steps = 8 if run.short else 20
    first, second = trained(run, steps=steps), trained(run, steps=steps)
    if not first[-1] < 0.8 * first[0]:
        raise Failed(f"A small net does not learn: its loss went from {first[0]:.3f} to {first[-1]:.3f}.")
    if first != second:
        raise Failed(f"The same seed gave another loss: {first[-1]!r} and {second[-1]!r}.")
    return {"words": f"loss {first[0]:.3f} to {first[-1]:.3f} in {steps} steps, the same twice", "first": first[0], "last": first[-1]}


def check_amp(run: Run) -> dict:
    """Mixed precision trains as well."""
    losses = trained(run, steps=8, amp=True)
    if not losses[-1] < losses[0]:
        raise Failed(f"In mixed precision the loss does not fall: {losses[0]:.3f} to {losses[-1]:.3f}.")
    return {"words": f"bf16 autocast: loss {losses[0]:.3f} to {losses[-1]:.3f}"}


class Bottleneck(nn.Module):
    """A block of ResNet-50."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        after = 4 * width
        self.body = nn.Sequential(
            nn.Conv2d(before, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True),
            nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True),
            nn.Conv2d(width, after, 1, bias=False), nn.BatchNorm2d(after),
        )  # fmt: skip
        same = before == after and stride == 1
        self.past = nn.Identity() if same else nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, given):
        """Body and past together."""
        return nn.functional.relu(self.body(given) + self.past(given))


def resnet50() -> nn.Module:
    """A net of ResNet-50's shape, 25.6 million numbers."""
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(True), nn.MaxPool2d(3, 2, 1)]
    before = 64
    for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for number in range(blocks):
            layers.append(Bottleneck(before, width, stride if number == 0 else 1))
            before = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 1000))


def check_resnet(run: Run) -> dict:
    """Milliseconds an image, forward, on the card and on the CPU."""
    net = resnet50().eval()
    found: dict = {}
    with torch.inference_mode():
        for device, batch in (("cuda", 32), ("cpu", 1 if run.short else 4)):
            if device == "cuda" and not run.cuda:
                continue
            net.to(device)
            pictures = torch.randn(batch, 3, 224, 224, device=device)
            if not bool(torch.isfinite(net(pictures)).all()):
                raise Failed(f"ResNet-50's answer on {device} is not a number.")
            found[f"{device}_ms"] = round(1000 * run.seconds(lambda pictures=pictures: net(pictures), 1 if run.short else 3) / batch, 3)
    return {"words": ", ".join(f"{value:g} ms an image on {name.removesuffix('_ms')}" for name, value in found.items())} | found


def check_checkpointing(run: Run) -> dict:
    """Gradients by checkpointing are those without it."""
    from torch.utils.checkpoint import checkpoint

    torch.manual_seed(SEED)
    net, given = small_net().to(run.device), torch.randn(8, 3, 32, 32, device=run.device)
    net(given).sum().backward()
    plain = [one.grad.clone() for one in net.parameters()]
    net.zero_grad()
    checkpoint(net, given, use_reentrant=False).sum().backward()
    if not all(torch.allclose(one.grad, before, rtol=1e-4, atol=1e-5) for one, before in zip(net.parameters(), plain, strict=True)):
        raise Failed("Gradients with checkpointing differ from those without.")
    return {"words": "the same gradients"}


class Pictures(torch.utils.data.Dataset):
    """As large as what a real loader hands over."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int):
        return torch.full((BATCH_BYTES // 4 // 4,), float(number))


def check_loader(run: Run) -> dict:
    """A DataLoader with workers hands large batches over by the lab's shared memory."""
    shm = os.statvfs("/dev/shm")
    size = shm.f_blocks * shm.f_frsize // 2**20
    batches = 4 if run.short else 24
    loader = torch.utils.data.DataLoader(Pictures(4 * batches), batch_size=4, num_workers=WORKERS, prefetch_factor=1)
    began, seen = time.perf_counter(), 0.0
    try:
        for batch in loader:
            seen += float(batch[:, 0].sum())
            time.sleep(0.01)
    except (RuntimeError, OSError) as error:
        raise Failed(f"A DataLoader with {WORKERS} workers fails with {size} MiB of shared memory: {(str(error) or repr(error)).splitlines()[-1]}") from error
    if seen != sum(range(4 * batches)):
        raise Failed("What the workers of a DataLoader handed over is not what they read.")
    rate = batches * BATCH_BYTES / 2**20 / (time.perf_counter() - began)
    return {"words": f"{WORKERS} workers, {BATCH_BYTES // 2**20} MiB a batch, {rate:.0f} MiB/s by {size} MiB of shm", "shm_mib": size, "mib_s": round(rate)}


def check_distributed(run: Run) -> dict:
    """All-reduce, and a net trained by two processes that stay alike: NCCL on two cards, else gloo on the CPU."""
    nccl = run.cuda and torch.cuda.device_count() > 1
    with tempfile.TemporaryDirectory() as folder:
        try:
            torch.multiprocessing.spawn(one_of_two, (f"file://{folder}/meet", "nccl" if nccl else "gloo"), nprocs=2)
        except (torch.multiprocessing.ProcessRaisedException, torch.multiprocessing.ProcessExitedException) as error:
            raise Failed(f"Two processes cannot work together: {str(error).strip().splitlines()[-1]}") from error
    return {"words": f"{'NCCL on two cards' if nccl else 'gloo, two processes'}: sum and gradients agree"}


def one_of_two(rank: int, meeting: str, backend: str) -> None:
    """What each of two processes does."""
    import torch.distributed as group

    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    group.init_process_group(backend, init_method=meeting, rank=rank, world_size=2, timeout=timedelta(minutes=2))
    device = torch.device("cuda", rank) if backend == "nccl" else torch.device("cpu")
    number = torch.tensor([float(rank + 1)], device=device)
    group.all_reduce(number)
    if float(number) != 3.0:
        raise Failed(f"the sum of 1 and 2 came out as {float(number)}")
    torch.manual_seed(rank)
    net = nn.parallel.DistributedDataParallel(small_net().to(device), device_ids=[device] if device.type == "cuda" else None)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(2):
        optimizer.zero_grad()
        net(torch.randn(4, 3, 32, 32, device=device)).sum().backward()
        optimizer.step()
    total = sum(one.detach().double().sum() for one in net.parameters())
    both = [torch.zeros_like(total) for _ in range(2)]
    group.all_gather(both, total)
    if not torch.equal(*both):
        raise Failed(f"two processes that train together came apart: {both}")
    group.barrier()
    group.destroy_process_group()
    os._exit(0)  # all is said: at Python's own end torch's threads abort the process now and then (SIGABRT, one time in ten on a busy machine)


CHECKS = {
    "card": check_card,
    "matmul": check_matmul,
    "training": check_training,
    "mixed precision": check_amp,
    "ResNet-50": check_resnet,
    "checkpointing": check_checkpointing,
    "DataLoader": check_loader,
    "two processes": check_distributed,
}


def main() -> None:
    """Every check in turn; the report; exit code 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--expect", choices=["cuda", "cpu"], default="cpu")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", choices=CHECKS)
    asked = parser.parse_args()
    run, began, checks = Run(cuda=asked.expect == "cuda", short=asked.short), time.perf_counter(), {}
    for name, check in CHECKS.items():
        if asked.only in (None, name):
            checks[name] = tried(check, run)
    passed = all(one["passed"] for one in checks.values())
    report = {"passed": passed, "torch": torch.__version__, "seconds": round(time.perf_counter() - began, 1), "checks": checks}
    print(json.dumps(report), flush=True)
    sys.exit(0 if passed else 1)


def tried(check, run: Run) -> dict:
    """What a check found; whatever it raises is a failure in words."""
    try:
        return {"passed": True} | check(run)
    except Failed as failed:
        return {"passed": False, "words": str(failed)}
    except Exception as error:
        return {"passed": False, "words": f"{type(error).__name__}: {error}"[:500], "trace": traceback.format_exc()[-1500:]}


if __name__ == "__main__":
    main()
